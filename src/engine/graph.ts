/**
 * The static tensor graph: what is to be computed, with every shape known, and nothing about how.
 *
 * A graph is a list of nodes in an order in which they can be computed. A node holds its operation's definition itself, so that
 * a new operation is one folder under ops/ and one line in its registry. Tensors are float32 and dense in (N, C, D, H, W) as far as
 * anyone outside a backend can see; a backend lays them out as it likes. Persistent tensors (parameters, moments) are *states*,
 * shared by the graphs of one program; a graph changes them only through effects (`accumulate`, `adam`), which have no result.
 * There is no dynamic shape and no control flow: one graph for one input size.
 */

/** Sizes of a tensor's axes; [] is a scalar. */
export type Shape = readonly number[];

/** What the shape rule and the gradient of an operation know about a node. */
export interface Node<Attributes = unknown> {
  readonly id: number;
  readonly op: Operation<Attributes>;
  readonly inputs: readonly Node[];
  readonly attributes: Attributes;
  readonly shape: Shape;
}

/** One operation, whole: its shape rule and its gradient. The kernels are in the backends' tables, which name every operation. */
export interface Operation<Attributes = unknown> {
  readonly name: string;
  /** The result's shape; throws `ShapeError` for inputs that do not fit. */
  // biome-ignore lint/suspicious/noExplicitAny: method bivariance lets Node<A> stand where Node<unknown> is asked for
  shape(inputs: readonly Shape[], attributes: Attributes & any): Shape;
  /**
   * d loss / d input for every input that `needs` it, given d loss / d result. Absent: not differentiable (and asking is an error).
   * The returned nodes have the inputs' shapes; undefined stands for "no gradient needed, or it is zero".
   */
  // biome-ignore lint/suspicious/noExplicitAny: as above
  gradient?(graph: Graph, node: Node<any>, dOut: Node, needs: readonly boolean[]): readonly (Node | undefined)[];
  /** An effect changes its first `writes` inputs, which are states or views of them, in place, and has no result. */
  readonly writes?: number;
  /** Cheaper to compute again than to keep until the backward pass: see recompute.ts. */
  readonly recompute?: boolean;
  /** The result is the first input's own memory, seen otherwise: no computing. */
  readonly alias?: boolean;
}

/** Whether a node is of an operation: then its attributes are known. */
export const isOp = <Attributes>(node: Node, op: Operation<Attributes>): node is Node<Attributes> =>
  node.op === (op as Operation);

/** A shape that an operation cannot take: a defect of the caller, told as `op: expected, got`. */
export class ShapeError extends Error {
  override readonly name: string = 'ShapeError';
}

/** Throws a `ShapeError` that starts with the operation's name unless the condition holds. */
export function checkShape(condition: boolean, op: string, message: () => string): void {
  if (!condition) throw new ShapeError(`${op}: ${message()}`);
}

export const elementCount = (shape: Shape): number => shape.reduce((product, size) => product * size, 1);
export const sameShape = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((size, axis) => size === b[axis]);
export const formatShape = (shape: Shape): string => `[${shape.join(', ')}]`;

/** A tensor given at every run. */
export const inputOp: Operation<{ readonly name: string; readonly shape: Shape }> = {
  name: 'input',
  shape: (_inputs, attributes) => attributes.shape,
};

/** A persistent tensor of the program, by name. */
export const stateOp: Operation<{ readonly name: string; readonly shape: Shape }> = {
  name: 'state',
  shape: (_inputs, attributes) => attributes.shape,
};

/** A tensor of the graph's own with fixed values (small: it is kept once for each backend). */
export const constantOp: Operation<{ readonly values: Float32Array; readonly shape: Shape }> = {
  name: 'constant',
  shape: (_inputs, { values, shape }) => {
    checkShape(
      values.length === elementCount(shape),
      'constant',
      () => `${formatShape(shape)} takes ${elementCount(shape)} values, got ${values.length}`,
    );
    return shape;
  },
};

/** Builds and holds one graph. Nodes are only ever appended, so that their order is an order of computing. */
export class Graph {
  readonly nodes: Node[] = [];
  readonly inputs = new Map<string, Node>();
  readonly outputs = new Map<string, Node>();
  private readonly states = new Map<string, Node>();

  /** Appends one operation on earlier nodes of this graph; its shape rule is checked here. */
  apply<Attributes>(op: Operation<Attributes>, inputs: readonly Node[], attributes: Attributes): Node<Attributes> {
    for (const each of inputs) {
      if (this.nodes[each.id] !== each) throw new Error(`${op.name}: an input (${each.op.name}) belongs to another graph`);
    }
    const shape = op.shape(
      inputs.map((each) => each.shape),
      attributes,
    );
    const node: Node<Attributes> = { id: this.nodes.length, op, inputs, attributes, shape };
    this.nodes.push(node as Node);
    return node;
  }

  /** Declares an input; a name may be used once. */
  input(name: string, shape: Shape): Node {
    if (this.inputs.has(name)) throw new Error(`input '${name}' is declared twice`);
    const node = this.apply(inputOp, [], { name, shape });
    this.inputs.set(name, node);
    return node;
  }

  /** A persistent tensor of the program; the same node for the same name. */
  state(name: string, shape: Shape): Node {
    const known = this.states.get(name);
    if (known) {
      if (!sameShape(known.shape, shape))
        throw new Error(`state '${name}' is ${formatShape(known.shape)} and ${formatShape(shape)}`);
      return known;
    }
    const node = this.apply(stateOp, [], { name, shape });
    this.states.set(name, node);
    return node;
  }

  constant(values: readonly number[] | Float32Array, shape: Shape): Node {
    return this.apply(constantOp, [], { values: Float32Array.from(values), shape });
  }

  /** Marks a node as wanted from outside under a name. */
  output(name: string, node: Node): void {
    if (this.outputs.has(name)) throw new Error(`output '${name}' is declared twice`);
    this.outputs.set(name, node);
  }
}

/** The graphs that work on one set of states: for example one training step's gradient, and the update. */
export interface Program {
  /** Name and shape of every persistent tensor; all start as zeros. */
  readonly states: ReadonlyMap<string, Shape>;
  readonly graphs: ReadonlyMap<string, Graph>;
}
