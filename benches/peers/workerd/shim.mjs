// A work as a Worker: what Cloudflare's runtime calls for each request.
import { prepare, work } from "work";

prepare();
export default {
  async fetch(request) {
    return new Response(work(await request.text()), { headers: { "content-type": "text/plain" } });
  },
};
