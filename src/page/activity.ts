/** Work under way, as its section of the page shows it: a line of text, a bar, and a button that stops it. */
import { formatDuration } from '../common/format-duration.ts';

const find = <Type extends Element>(section: ParentNode, selector: string): Type => section.querySelector<Type>(selector)!;

export class Activity {
  private readonly line: HTMLElement;
  private readonly underWay: HTMLElement;
  private readonly bar: HTMLProgressElement;
  private readonly stopButton: HTMLButtonElement;
  private readonly requestStop: () => void;
  private stopping = false;
  /** When the first part was done: what comes before it (compiling) says nothing of the rest. */
  private firstMs = 0;
  private firstDone = 0;
  /** How far it has come. */
  private state = '';

  constructor(section: ParentNode, requestStop: () => void) {
    this.line = find(section, '.status');
    this.underWay = find(section, '.under-way');
    this.bar = find(section, 'progress');
    this.stopButton = find(section, '.stop');
    this.requestStop = requestStop;
    this.stopButton.onclick = () => this.stop();
  }

  private stop(): void {
    this.stopping = true;
    this.stopButton.disabled = true;
    this.line.textContent = 'stopping ...';
    this.requestStop();
  }

  say(text: string, wrong = false): void {
    if (this.stopping) return;
    this.line.textContent = text;
    this.line.classList.toggle('wrong', wrong);
  }

  /** Moves the bar, and says how long the rest will take once that can be told. */
  advance(done: number, of: number, text: string): void {
    this.bar.value = done / of;
    if (!this.stopping) this.state = text;
    if (this.firstDone === 0) [this.firstDone, this.firstMs] = [done, performance.now()];
    const left = ((performance.now() - this.firstMs) / (done - this.firstDone)) * (of - done);
    this.say(done > this.firstDone && done < of ? `${text}, ${formatDuration(left)} left` : text);
  }

  /** Shows the work from its beginning to the line that it ends with, or to what went wrong. */
  async run(beginning: string, work: () => Promise<string>): Promise<void> {
    this.firstDone = 0;
    this.state = '';
    this.bar.removeAttribute('value');
    this.stopButton.disabled = false;
    this.underWay.hidden = false;
    // a screen reader waits for the end instead of reading every step
    this.line.ariaBusy = 'true';
    this.say(beginning);
    let [end, wrong] = ['', false];
    try {
      end = await work();
    } catch (error) {
      const { name, message } = error as Error;
      [end, wrong] = name === 'AbortError' ? [this.state ? `${this.state}; stopped` : 'stopped', false] : [message, true];
    }
    this.stopping = false;
    this.underWay.hidden = true;
    this.line.ariaBusy = 'false';
    this.say(end, wrong);
  }
}
