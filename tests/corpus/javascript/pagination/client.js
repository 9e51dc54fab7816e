export class PageError extends Error {
  constructor(page, options) {
    super(`page ${page} could not be read`, options);
  }
  get name() {
    return 'PageError';
  }
}

export class DirectoryClient {
  #total;
  #pageSize;
  #failAt;
  pages = 0;
  closed = false;

  constructor({ total, pageSize, failAt }) {
    this.#total = total;
    this.#pageSize = pageSize;
    this.#failAt = failAt;
  }

  async #page(token = 0) {
    await new Promise((resolve) => setTimeout(resolve, 1));
    this.pages++;
    if (this.pages === this.#failAt) {
      throw new PageError(this.pages, { cause: { token } });
    }
    const end = Math.min(token + this.#pageSize, this.#total);
    const items = Array.from({ length: end - token }, (_, i) => ({ id: token + i, name: `u${token + i}` }));
    return { items, next: end < this.#total ? end : undefined };
  }

  async *users() {
    try {
      let token;
      do {
        const { items, next } = await this.#page(token);
        yield* items;
        token = next;
      } while (token !== undefined);
    } finally {
      this.closed = true;
    }
  }
}
