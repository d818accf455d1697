/** What every backend promises of its sessions: states, several graphs on them, and errors that name what is wrong. */
import { describe, expect } from 'vitest';
import { Graph, type Program } from './graph.ts';
import { accumulate } from './ops/adam/adam.ts';
import { add, scale } from './ops/elementwise/elementwise.ts';
import { view } from './ops/shape/shape.ts';
import { itOnEveryBackend } from './testing/backends.ts';

/** 'read' doubles the second half of the state; 'change' adds an input to it. */
function program(): Program {
  const [read, change] = [new Graph(), new Graph()];
  const half = view(read, read.state('s', [6]), 3, [3]);
  read.output('twice', scale(read, half, 2));
  read.output('sum', add(read, half, read.input('x', [3])));
  accumulate(change, change.state('s', [6]), change.input('y', [6]));
  return {
    states: new Map([['s', [6]]]),
    graphs: new Map([
      ['read', read],
      ['change', change],
    ]),
  };
}

describe('Backend', () => {
  itOnEveryBackend('states start as zeros and are shared by the graphs of a program', async (backend) => {
    const session = await backend.open(program());
    expect([...(await session.readState('s'))]).toEqual([0, 0, 0, 0, 0, 0]);
    await session.writeState('s', Float32Array.of(1, 2, 3, 4, 5, 6));
    await session.run('change', { y: Float32Array.of(0, 0, 0, 10, 10, 10) });
    const { twice, sum } = await session.run('read', { x: Float32Array.of(1, 1, 1) });
    expect([...twice]).toEqual([28, 30, 32]);
    expect([...sum]).toEqual([15, 16, 17]);
    await session.close();
  });

  itOnEveryBackend('gives copies: what is done to a result or a state that was read changes nothing', async (backend) => {
    const session = await backend.open(program());
    await session.writeState('s', Float32Array.of(1, 2, 3, 4, 5, 6));
    (await session.readState('s')).fill(0);
    const x = Float32Array.of(1, 1, 1);
    const first = await session.run('read', { x });
    first.twice.fill(0);
    x.fill(7);
    expect([...first.sum]).toEqual([5, 6, 7]);
    expect([...(await session.run('read', { x })).twice]).toEqual([8, 10, 12]);
    await session.close();
  });

  itOnEveryBackend('reads back only the outputs that are named', async (backend) => {
    const session = await backend.open(program());
    expect(Object.keys(await session.run('read', { x: Float32Array.of(1, 1, 1) }, ['sum']))).toEqual(['sum']);
    expect(await session.run('read', { x: Float32Array.of(1, 1, 1) }, [])).toEqual({});
    await session.close();
  });

  itOnEveryBackend('two sessions of one program share nothing', async (backend) => {
    const [one, two] = [await backend.open(program()), await backend.open(program())];
    await one.writeState('s', Float32Array.of(1, 2, 3, 4, 5, 6));
    expect([...(await two.readState('s'))]).toEqual([0, 0, 0, 0, 0, 0]);
    await one.close();
    await two.close();
  });

  itOnEveryBackend('says by name what is missing or does not fit', async (backend) => {
    const session = await backend.open(program());
    const x = Float32Array.of(1, 1, 1);
    await expect(session.run('train', { x })).rejects.toThrow("no graph 'train' in this program (it has read, change)");
    await expect(session.run('read', {})).rejects.toThrow("graph 'read': input 'x' expects 3 values [3], got nothing");
    await expect(session.run('read', { x: new Float32Array(4) })).rejects.toThrow(
      "graph 'read': input 'x' expects 3 values [3], got 4",
    );
    await expect(session.run('read', { x }, ['loss'])).rejects.toThrow("graph 'read' has no output 'loss'");
    await expect(session.readState('t')).rejects.toThrow("no state 't' in this program");
    await expect(session.writeState('t', x)).rejects.toThrow("no state 't' in this program");
    await expect(session.writeState('s', x)).rejects.toThrow("state 's' has 6 values, got 3");
    await session.close();
  });

  itOnEveryBackend('verifies a program before it opens it, and knows its memory without opening', async (backend) => {
    expect(backend.memoryBytes(program())).toBeGreaterThan(6 * 4);
    const graph = new Graph();
    graph.state('undeclared', [4]);
    await expect(backend.open({ states: new Map(), graphs: new Map([['g', graph]]) })).rejects.toThrow(
      "state 'undeclared' is not declared",
    );
  });
});
