// Keeps every file of one version of the bundle, and gives it out when the server cannot be reached.
// The page registers this file with the hash of the manifest: another bundle is another version.

// Other pages of the same server have other places.
const PLACE = `sardonyx ${self.registration.scope} `;
const KEPT = PLACE + new URL(self.location.href).searchParams.get("v");

self.addEventListener("install", (event) => event.waitUntil(fill()));

self.addEventListener("activate", (event) => event.waitUntil(dropOthers()));

self.addEventListener("fetch", (event) => {
  if (event.request.method === "GET") event.respondWith(answer(event.request));
});

// All files or none: a file that is not the one in the manifest spoils the installation.
async function fill() {
  const { files } = await (await fetch("manifest.json", { cache: "no-cache" })).json();
  const checked = files.map(({ path, sha256 }) => {
    const raw = String.fromCharCode(...sha256.match(/../g).map((pair) => parseInt(pair, 16)));
    return new Request(path, { cache: "no-cache", integrity: `sha256-${btoa(raw)}` });
  });
  await (await caches.open(KEPT)).addAll(["./", "manifest.json", ...checked]);
  await self.skipWaiting();
}

async function dropOthers() {
  const old = (await caches.keys()).filter((name) => name.startsWith(PLACE) && name !== KEPT);
  await Promise.all(old.map((name) => caches.delete(name)));
  await self.clients.claim();
}

async function answer(request) {
  try {
    const response = await fetch(request);
    if (response.ok) return response;
  } catch {
    // No network: what is kept is all there is.
  }
  const kept = await (await caches.open(KEPT)).match(request, { ignoreSearch: true });
  return kept ?? fetch(request);
}
