// Before the first paint: the theme that was chosen on this device, where one was.
(() => {
  try {
    const chosen = localStorage.getItem("headgate-theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch { /* storage is switched off: the system's choice holds */ }
  document.documentElement.classList.add("scripted");
})();
