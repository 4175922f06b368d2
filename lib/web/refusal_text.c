/* SPDX-License-Identifier: Apache-2.0
 * The sentences of refusals.
 * OWNS nothing: static text. PROCESS web gate. TRUST none. SPEC lib/web/refusal_text.h.
 */
#include "lib/web/refusal_text.h"

#include "lib/base/mem.h"

enum { ENGLISH, CHINESE, LANGUAGES };

static const sp_refusal_words words[LANGUAGES] = {
    {"en", "What to do", "Reference", "Application", "Action", "Signed in as", "Device",
     "Time (UTC)", "Open the portal"},
    {"zh-CN", "怎么办", "编号", "应用", "操作", "当前登录", "设备", "时间（UTC）", "打开门户"},
};

static const char *const actions[LANGUAGES][SP_ACTION_COUNT] = {
    {"connect", "read", "write", "export (take data out)", "import (bring data in)", "alter",
     "destroy (delete)", "administer", "execute", "forward"},
    {"连接", "读取", "写入", "导出（下载）", "导入（上传）", "更改结构", "销毁（删除）", "管理",
     "执行", "转发"},
};

#define ASK_EN                                                                                     \
    "If you need this for your work, give the reference number to your security team: they see "   \
    "exactly what was refused and which rule said so."
#define ASK_ZH "如工作确有需要，请把下面的编号告诉安全团队：他们能看到被拒绝的内容和对应的规则。"

static const sp_refusal_says reasons[SP_REASON_COUNT][LANGUAGES] = {
    [SP_REASON_DEFAULT] = {{"You may not do this here",
                            "No rule of your company's policy allows this action for you on this "
                            "application.",
                            ASK_EN},
                           {"您没有权限", "公司的访问策略中没有允许您进行此操作的规则。", ASK_ZH}},
    [SP_REASON_DENY_RULE] = {{"This is not allowed",
                              "A rule of your company's policy forbids this action.", ASK_EN},
                             {"此操作被禁止", "公司的访问策略明确禁止此操作。", ASK_ZH}},
    [SP_REASON_NEVER] = {{"This is never allowed",
                          "Your company has stated that this must not be possible in this "
                          "situation, whatever other rules say.",
                          ASK_EN},
                         {"此操作绝不允许", "公司规定，在当前情况下任何规则都不得放行此操作。",
                          ASK_ZH}},
    [SP_REASON_NO_SESSION] = {{"Sign in first", "You are not signed in.",
                               "Open the portal and sign in, then try again."},
                              {"请先登录", "您尚未登录。", "请打开门户登录，然后重试。"}},
    [SP_REASON_SESSION_ENDED] = {{"Your session has ended",
                                  "You signed out, were away for too long, or your session was "
                                  "ended.",
                                  "Open the portal and sign in again."},
                                 {"会话已结束", "您已退出登录、长时间未操作，或会话已被终止。",
                                  "请打开门户重新登录。"}},
    [SP_REASON_SESSION_DEVICE] =
        {{"This session belongs to another device",
          "You signed in on one device, and this request came from another.",
          "Sign in again on this device. If you did not do this, tell your security team at once: "
          "somebody may have copied your cookie."},
         {"会话属于另一台设备", "登录所用的设备与发出此请求的设备不同。",
          "请在本设备重新登录。如果不是您本人操作，请立即通知安全团队：您的登录凭据可能已被复制"
          "。"}},
    [SP_REASON_DEVICE_UNKNOWN] =
        {{"This device is not known", "This needs a device that your company has enrolled.",
          "Use an enrolled device, or enrol this one: the portal shows how under My devices."},
         {"设备未登记", "此操作需要使用公司已登记的设备。",
          "请改用已登记的设备，或在门户的“我的设备”中登记本设备。"}},
    [SP_REASON_DEVICE_OWNER] = {{"This needs a company device",
                                 "Data of this kind may not be used like this on a personal "
                                 "device.",
                                 "Use your company device. " ASK_EN},
                                {"需要使用公司设备", "此类数据不得在个人设备上进行该操作。",
                                 "请使用公司配发的设备。" ASK_ZH}},
    [SP_REASON_DEVICE_POSTURE] =
        {{"This device is not in good health",
          "The device is out of date, or has not reported its state for a while.",
          "Install the pending updates and let the Sallyport agent run; the portal shows what is "
          "missing under My devices."},
         {"设备状态不合格", "设备未及时更新，或已有一段时间没有上报状态。",
          "请安装更新并保持 Sallyport 客户端运行；缺少什么可在门户“我的设备”中查看。"}},
    [SP_REASON_DEVICE_PENDING] = {{"This device waits for approval",
                                   "It is enrolled, but nobody has approved it yet.",
                                   "Ask your security team to approve it."},
                                  {"设备等待批准", "设备已登记，但尚未获得批准。",
                                   "请联系安全团队批准该设备。"}},
    [SP_REASON_DEVICE_QUARANTINE] = {{"This device is in quarantine",
                                      "The device was put in quarantine because it may be at risk.",
                                      "Stop using it and talk to your security team."},
                                     {"设备已被隔离", "该设备可能存在风险，已被隔离。",
                                      "请停止使用，并联系安全团队。"}},
    [SP_REASON_DEVICE_REVOKED] = {{"This device is no longer accepted",
                                   "Its enrolment was revoked.",
                                   "Use another device, or enrol this one again."},
                                  {"设备已被注销", "该设备的登记已被撤销。",
                                   "请使用其他设备，或重新登记。"}},
    [SP_REASON_STRENGTH] = {{"Prove who you are again",
                             "This needs a stronger or a fresher sign-in.",
                             "Open the portal and sign in with your passkey, then try again."},
                            {"需要再次验证身份", "此操作需要更强或更近期的登录验证。",
                             "请打开门户，用通行密钥登录后重试。"}},
    [SP_REASON_HOURS] = {{"Not at this hour", "The policy allows this only at certain hours.",
                          "Try again within the allowed hours. " ASK_EN},
                         {"当前时段不允许", "策略只允许在规定时段进行此操作。",
                          "请在规定时段内重试。" ASK_ZH}},
    [SP_REASON_NETWORK] = {{"Not from this network",
                            "The policy does not allow this from the network you are on.",
                            "Connect from an allowed network. " ASK_EN},
                           {"当前网络不允许", "策略不允许从当前网络进行此操作。",
                            "请从允许的网络连接。" ASK_ZH}},
    [SP_REASON_APPROVAL] = {{"Other people must agree first",
                             "This action needs the approval of a second person.", ASK_EN},
                            {"需要他人批准", "此操作需要另一人批准。", ASK_ZH}},
    [SP_REASON_UNPARSED] =
        {{"The request could not be understood",
          "Its address or headers can be read in more than one way, so it was not passed on.",
          "Go back and follow a normal link. If an application made this address, report the "
          "reference number."},
         {"无法识别的请求", "请求的地址或头部存在歧义，因此未被转发。",
          "请返回并使用正常的链接；如果地址由应用生成，请报告编号。"}},
    [SP_REASON_UNRECORDED] =
        {{"This cannot be recorded right now",
          "What you asked for must be written into the ledger first, and that is not possible at "
          "the moment.",
          "Try again in a few minutes. The operators have been told."},
         {"当前无法记录", "此操作必须先写入审计账本，而账本暂时不可用。",
          "请几分钟后重试。运维人员已收到通知。"}},
    [SP_REASON_UNAVAILABLE] = {{"The gate is not ready",
                                "It has not received its policy yet, or is being stopped.",
                                "Try again in a moment."},
                               {"网关尚未就绪", "网关尚未取得策略，或正在停止。", "请稍后重试。"}},
    [SP_REASON_LIMIT] = {{"Too much", "A limit of size or number was passed.",
                          "Send less, or slower. " ASK_EN},
                         {"超出限制", "超过了大小或数量的限制。", "请减少内容或放慢速度。" ASK_ZH}},
    [SP_REASON_CUT] = {{"Closed for the moment",
                        "The security team has closed this, because of an incident or a drill.",
                        "Wait for their notice. " ASK_EN},
                       {"暂时关闭", "安全团队因事件处置或演练已将其关闭。", "请等待通知。" ASK_ZH}},
    [SP_REASON_DUTY] = {{"Only masked or counted",
                         "You may have this only masked, or only so much of it a day, and the gate "
                         "in front of it can do neither.",
                         "Use the database itself, where it is masked. " ASK_EN},
                        {"须脱敏或限量", "此数据只能脱敏或限量提供，而此处的网关无法做到。",
                         "请直接使用可脱敏的数据库。" ASK_ZH}},
};

typedef struct {
    uint16_t status;
    sp_refusal_says says[LANGUAGES];
} status_text;

static const status_text statuses[] = {
    {400,
     {{"The request is malformed", "The gate could not read it as HTTP.",
       "Reload the page. If it comes back, report the reference number."},
      {"请求格式错误", "网关无法按 HTTP 解析该请求。", "请刷新页面；若仍出现，请报告编号。"}}},
    {404,
     {{"There is nothing here", "This address does not exist.", "Check the address."},
      {"页面不存在", "该地址不存在。", "请检查地址。"}}},
    {413,
     {{"Too large", "The upload is larger than this application accepts.", "Send a smaller file."},
      {"内容过大", "上传内容超过该应用的上限。", "请发送较小的文件。"}}},
    {421,
     {{"Wrong address", "This gate does not serve the host that was asked for.",
       "Check the address, or start from the portal."},
      {"地址有误", "本网关不提供所请求的主机。", "请检查地址，或从门户进入。"}}},
    {502,
     {{"The application does not answer",
       "The gate let you through, but the application behind "
       "it could not be reached.",
       "Try again in a few minutes; if it lasts, tell whoever runs the application."},
      {"应用没有响应", "网关已放行，但无法连接后端应用。",
       "请几分钟后重试；若持续出现，请联系应用的维护者。"}}},
    {504,
     {{"The application took too long",
       "The gate let you through, but the application did not "
       "answer in time.",
       "Try again in a few minutes; if it lasts, tell whoever runs the application."},
      {"应用响应超时", "网关已放行，但后端应用未及时响应。",
       "请几分钟后重试；若持续出现，请联系应用的维护者。"}}},
};

static const sp_refusal_says other[LANGUAGES] = {
    {"This did not work", "The gate could not complete the request.",
     "Try again. If it comes back, report the reference number."},
    {"请求未能完成", "网关未能完成该请求。", "请重试；若仍出现，请报告编号。"},
};

sp_refusal_says sp_refusal_say(sp_reason reason, uint16_t status, bool chinese)
{
    int language = chinese ? CHINESE : ENGLISH;
    if (reason < SP_REASON_COUNT && reasons[reason][language].title != NULL) {
        return reasons[reason][language];
    }
    for (size_t i = 0; i < SP_COUNT(statuses); i++) {
        if (statuses[i].status == status) {
            return statuses[i].says[language];
        }
    }
    return other[language];
}

const sp_refusal_words *sp_refusal_words_of(bool chinese)
{
    return &words[chinese ? CHINESE : ENGLISH];
}

const char *sp_refusal_action(sp_action action, bool chinese)
{
    return action < SP_ACTION_COUNT ? actions[chinese ? CHINESE : ENGLISH][action] : "";
}
