// Lines between the two people. What they hold is text, and is only ever written as text.

import { $, say, sayIn } from './dom.js';

export class Chat {
  constructor(engine, failed) {
    this.engine = engine;
    this.failed = failed;
    this.newest = 0;
    this.fetching = false;
    $('chat').addEventListener('click', () => this.toggle());
    $('chat-close').addEventListener('click', () => this.toggle());
    $('write').addEventListener('submit', (event) => {
      event.preventDefault();
      this.send();
    });
    $('lines').addEventListener('keydown', (event) => event.key === 'Escape' && this.toggle());
    $('line').addEventListener('keydown', (event) => event.key === 'Escape' && this.toggle());
  }

  get open() {
    return !$('chat-panel').hidden;
  }

  toggle() {
    $('chat-panel').hidden = this.open;
    $('chat').setAttribute('aria-expanded', String(this.open));
    if (this.open) {
      if (document.fullscreenElement) document.exitFullscreen(); // the panel is not part of it
      this.count();
      $('lines').scrollTop = $('lines').scrollHeight;
      $('line').focus();
    } else {
      $('chat').focus();
    }
  }

  async send() {
    const text = $('line').value;
    if (!text.trim()) return;
    try {
      const status = await this.engine.act('chat', { text });
      $('line').value = '';
      await this.show(status);
    } catch (error) {
      this.failed(error);
    }
  }

  async show(status) {
    const speaks = status?.peer_speaks;
    $('line').disabled = $('write').querySelector('button').disabled = !speaks;
    say('chat-note', speaks ? 'Only the two of you see this; it ends with the call.' : 'You can write when you are connected.');
    this.who = status?.peer_name || 'Your peer';
    if (!status || status.chat === this.newest || this.fetching) return;
    this.fetching = true;
    try {
      const fresh = status.chat < this.newest ? 0 : this.newest;
      for (const line of await this.engine.chat(fresh)) this.add(line);
      this.newest = status.chat;
    } catch {
      // the next second tries again
    } finally {
      this.fetching = false;
    }
    this.count();
  }

  add(line) {
    const item = document.createElement('li');
    const from = document.createElement('b');
    from.textContent = line.mine ? 'You' : this.who;
    const text = document.createElement('span');
    text.textContent = line.text;
    text.dir = 'auto';
    item.className = line.mine ? 'mine' : '';
    item.append(from, text);
    $('lines').append(item);
    while ($('lines').children.length > 200) $('lines').firstElementChild.remove();
    $('lines').scrollTop = $('lines').scrollHeight;
    if (!line.mine && !this.open) this.unread = (this.unread ?? 0) + 1;
  }

  count() {
    if (this.open) this.unread = 0;
    const unread = this.unread ?? 0;
    sayIn($('chat').querySelector('span'), unread ? `Chat (${unread})` : 'Chat');
    $('chat').classList.toggle('unread', unread > 0);
  }

  clear() {
    $('lines').replaceChildren();
  }
}
