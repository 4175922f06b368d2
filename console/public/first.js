// SPDX-License-Identifier: Apache-2.0
// Before the first paint: the reader's own choice of colours and language, so that nothing flashes.
(function () {
  var root = document.documentElement;
  try {
    var theme = localStorage.getItem("theme");
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    var lang = localStorage.getItem("lang");
    if (!lang) lang = /^zh/i.test(navigator.language) ? "zh" : "en";
    root.lang = lang === "zh" ? "zh-CN" : "en";
  } catch (e) {
    root.lang = "en";
  }
})();
