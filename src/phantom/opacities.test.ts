import { describe, expect, it } from 'vitest';
import { renderSubject } from './subject.ts';

describe('opacities', () => {
  it('raise densities in the lungs and leave everything else of the patient as it was', () => {
    const request = { kind: 'heart-ct', seed: 3, subject: 0, spacingMm: 6 } as const;
    const healthy = renderSubject(request);
    const ill = renderSubject({ ...request, opacities: true });
    expect(ill.labels).toEqual(healthy.labels);
    expect(ill.landmarks).toEqual(healthy.landmarks);
    expect(renderSubject({ ...request, opacities: true })).toEqual(ill);
    expect(ill.facts.opacities).toBeGreaterThanOrEqual(2);
    expect(ill.facts.opacityShare).toBeGreaterThan(0);
    expect(healthy.facts.opacities).toBeUndefined();
    let raised = 0;
    ill.image.data.forEach((hu, i) => {
      const change = hu - healthy.image.data[i];
      expect(change).toBeGreaterThanOrEqual(0);
      if (change > 100) {
        raised++;
        expect(healthy.image.data[i]).toBeLessThan(-400);
      }
    });
    expect(raised / ill.image.data.length).toBeLessThan(0.1);
    expect(raised).toBeGreaterThan(5);
  });
});
