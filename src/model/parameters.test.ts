import { describe, expect, it } from 'vitest';
import { ALL_HEADS, NO_HEADS, scaledArchitecture } from './architecture.ts';
import { initialParameters, parameterTable, valuesOf } from './parameters.ts';

const table = parameterTable(scaledArchitecture(1));

describe('parameterTable', () => {
  it('counts what the published network counts', () => {
    const backbone = table.parameters.filter(({ name }) => name.startsWith('unet.'));
    expect(backbone.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0)).toBe(23_538_144);
    expect(table.count).toBe(32_440_739);
  });

  it('names the parameters as the published checkpoints do', () => {
    const shapes = new Map(table.parameters.map(({ name, shape }) => [name, shape]));
    expect(shapes.get('unet.down4.maxpool_conv.1.double_conv.0.weight')).toEqual([512, 256, 3, 3, 3]);
    expect(shapes.get('unet.up1.conv.double_conv.0.weight')).toEqual([256, 768, 3, 3, 3]);
    expect(shapes.get('res_conv.3.weight')).toEqual([1, 16, 1, 1, 1]);
    expect(shapes.get('fc_shear.weight')).toEqual([6, 256]);
  });

  it('leaves out what an ablation has not', () => {
    const names = (heads: Partial<typeof ALL_HEADS>) =>
      parameterTable(scaledArchitecture(0.25, { ...ALL_HEADS, ...heads })).parameters.map(({ name }) => name.split('.')[0]);
    expect(new Set(names({ affine: false }))).toEqual(new Set(['unet', 'sp_conv', 'res_conv', 'out_flow']));
    expect(new Set(names({ restoration: false }))).toEqual(
      new Set(['unet', 'f_conv', 'sp_conv', 'out_flow', 'fc_rot', 'fc_scl', 'fc_trans', 'fc_shear']),
    );
    expect(new Set(names({ matching: false }))).toEqual(new Set(['unet', 'res_conv']));
  });
});

describe('the heads of a task', () => {
  const names = (heads: Partial<typeof NO_HEADS>) =>
    parameterTable(scaledArchitecture(0.25, { ...NO_HEADS, ...heads })).parameters.map(({ name, shape }) => `${name} ${shape}`);

  it('names them as the oracle does, after the backbone', () => {
    expect(names({ segmentation: 8 }).slice(-2)).toEqual(['out_conv.weight 8,8,3,3,3', 'out_conv.bias 8']);
    expect(names({ classification: 1 }).slice(-2)).toEqual(['fc.weight 1,128', 'fc.bias 1']);
  });

  it('has no decoder where nothing reads it', () => {
    expect(names({}).some((name) => name.startsWith('unet.up'))).toBe(true);
    expect(names({ classification: 1 }).some((name) => name.startsWith('unet.up'))).toBe(false);
    expect(names({ classification: 1, segmentation: 2 }).some((name) => name.startsWith('unet.up'))).toBe(true);
  });
});

describe('initialParameters', () => {
  it('starts the backbone Kaiming-normal, the affine layers near zero, and depends on the seed alone', () => {
    const small = parameterTable(scaledArchitecture(0.25));
    const flat = initialParameters(small, 1);
    expect(flat).toEqual(initialParameters(small, 1));
    expect(flat).not.toEqual(initialParameters(small, 2));
    const deviation = (name: string): number => {
      const values = valuesOf(flat, small.parameters.find((parameter) => parameter.name === name)!);
      return Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / values.length);
    };
    expect(deviation('unet.down4.maxpool_conv.1.double_conv.3.weight')).toBeCloseTo(Math.sqrt(2 / (128 * 27)), 3);
    expect(deviation('fc_rot.weight')).toBeGreaterThan(5e-4);
    expect(deviation('fc_rot.weight')).toBeLessThan(2e-3);
    expect(deviation('unet.inc.double_conv.1.weight')).toBe(1);
  });
});
