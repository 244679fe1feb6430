/** Below it, what lies before the head is not worth cutting off. */
const SLACK = 1024;

/** A queue that gives back its head in constant time, and takes an item back in front. */
export class Queue<T> {
  #items: (T | undefined)[] = [];
  #head = 0;

  get first(): T | undefined {
    return this.#items[this.#head];
  }

  push(item: T): void {
    this.#items.push(item);
  }

  putBack(item: T): void {
    if (this.#head > 0) this.#items[--this.#head] = item;
    else this.#items.unshift(item);
  }

  shift(): T | undefined {
    const item = this.#items[this.#head];
    if (item === undefined) return undefined;
    // What it holds must not outlive it here.
    this.#items[this.#head++] = undefined;
    if (this.#head === this.#items.length) this.replace([]);
    else if (this.#head >= SLACK && this.#head * 2 >= this.#items.length) {
      this.#items.splice(0, this.#head);
      this.#head = 0;
    }
    return item;
  }

  replace(items: T[]): void {
    this.#items = items;
    this.#head = 0;
  }
}
