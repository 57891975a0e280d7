chrome.runtime.sendMessage("how often?").then((times) => {
  document.documentElement.dataset.marked = times;
});
