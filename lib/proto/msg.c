/* SPDX-License-Identifier: Apache-2.0
 * The message frame.
 * OWNS nothing. PROCESS all. TRUST the packet is hostile. SPEC lib/proto/msg.h.
 */
#include "lib/proto/msg.h"

void sp_msg_begin(sp_buf *out, uint16_t kind, uint32_t id, sp_code status)
{
    sp_buf_u8(out, SP_MSG_VERSION);
    sp_buf_u16(out, kind);
    sp_buf_u32(out, id);
    sp_buf_u8(out, (uint8_t)status);
}

sp_err sp_msg_open(sp_span packet, sp_msg *ret_msg)
{
    if (packet.len > SP_MSG_MAX_BYTES) {
        return sp_fail(SP_ELIMIT);
    }
    sp_reader in = sp_reader_of(packet);
    uint8_t version = sp_read_u8(&in);
    sp_msg msg = {.kind = sp_read_u16(&in), .id = sp_read_u32(&in)};
    msg.status = sp_read_enum(&in, SP_CODE_COUNT);
    if (version != SP_MSG_VERSION) {
        sp_reader_fail(&in, SP_EUNSUPPORTED);
    }
    msg.body = sp_read_span(&in, in.rest.len);
    TRY(sp_reader_finish(&in));
    *ret_msg = msg;
    return sp_ok();
}
