chrome.runtime.onMessage.addListener((_message, _sender, answer) => {
  chrome.storage.local.get({ times: 0 }).then(({ times }) => {
    chrome.storage.local.set({ times: times + 1 }).then(() => answer(times + 1));
  });
  return true;
});
