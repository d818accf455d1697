"""Asks PyTorch for the steps of an optimiser with all that training offers: test/goldens/optimizer.safetensors.

  python3 scripts/make-optimizer-goldens.py [OUT]      (needs PyTorch; made with Debian's python3-torch 1.13)

A weight (5, 7) and a bias (5) are moved by given gradients: the mean over two samples, clipped (clip_grad_norm_), AdamW whose weight decay is
for the weight alone, a linear warm-up and then a cosine, by PyTorch's own schedulers. An average of the parameters follows (EMA). In float64
from inputs that float32 holds exactly, stored as float32. The file has
  before.NAME                  gradient.STEP.SAMPLE.NAME    after.STEP.NAME    average.STEP.NAME
  rates, factors               of each step: the learning rate, and what clipping multiplied by
  rates.polynomial             the same warm-up with nnU-Net's decay to zero
The same PyTorch gives the same bytes.
"""
import json
import struct
import sys
from pathlib import Path

import torch
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, PolynomialLR, SequentialLR

SEED = 20230301
STEPS, WARMUP, DECAY = 9, 3, 6
RATE, END, WEIGHT_DECAY, CLIP, EMA = 0.02, 0.05, 0.3, 1.5, 0.9
torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)


def optimizer_of(weight, bias):
    return torch.optim.AdamW(
        [{'params': [weight], 'weight_decay': WEIGHT_DECAY}, {'params': [bias], 'weight_decay': 0.0}], lr=RATE
    )


def scheduler_of(optimizer, decay):
    warmup = LinearLR(optimizer, start_factor=1 / WARMUP, total_iters=WARMUP - 1)
    return SequentialLR(optimizer, [warmup, decay(optimizer)], milestones=[WARMUP])


def cosine(optimizer):
    return CosineAnnealingLR(optimizer, T_max=DECAY, eta_min=END * RATE)


def polynomial(optimizer):
    return PolynomialLR(optimizer, total_iters=DECAY, power=0.9)


def main(out):
    generator = torch.Generator().manual_seed(SEED)

    def draw(*shape, scale=1.0):
        return (scale * torch.randn(shape, generator=generator)).float().double()

    tensors = {}
    parameters = {'weight': draw(5, 7).requires_grad_(), 'bias': draw(5).requires_grad_()}
    average = {name: value.detach().clone() for name, value in parameters.items()}
    for name, value in parameters.items():
        tensors[f'before.{name}'] = value.detach().clone()
    optimizer = optimizer_of(*parameters.values())
    scheduler = scheduler_of(optimizer, cosine)
    rates, factors = [], []
    for step in range(STEPS):
        # every third is small enough to stay as it is
        scale = 0.05 if step % 3 == 2 else 1.0
        for name, value in parameters.items():
            samples = [draw(*value.shape, scale=scale) for _ in range(2)]
            for sample, gradient in enumerate(samples):
                tensors[f'gradient.{step}.{sample}.{name}'] = gradient
            value.grad = sum(samples) / 2
        norm = torch.nn.utils.clip_grad_norm_(list(parameters.values()), CLIP)
        factors.append(min(1.0, CLIP / (norm.item() + 1e-6)))
        rates.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        scheduler.step()
        # young averages follow sooner, as in TensorFlow and torch_ema
        decay = min(EMA, (2 + step) / (11 + step))
        for name, value in parameters.items():
            average[name] = decay * average[name] + (1 - decay) * value.detach()
            tensors[f'after.{step}.{name}'] = value.detach().clone()
            tensors[f'average.{step}.{name}'] = average[name].clone()
    tensors['rates'] = torch.tensor(rates)
    tensors['factors'] = torch.tensor(factors)

    other = optimizer_of(torch.zeros(1, requires_grad=True), torch.zeros(1, requires_grad=True))
    scheduler = scheduler_of(other, polynomial)
    rates = []
    for _ in range(STEPS):
        rates.append(other.param_groups[0]['lr'])
        other.step()
        scheduler.step()
    tensors['rates.polynomial'] = torch.tensor(rates)

    metadata = {
        **{name: str(value) for name, value in {'seed': SEED, 'steps': STEPS, 'warmupSteps': WARMUP, 'learningRateDecaySteps': DECAY}.items()},
        **{name: str(value) for name, value in {'learningRate': RATE, 'learningRateEnd': END, 'weightDecay': WEIGHT_DECAY}.items()},
        **{'gradientClip': str(CLIP), 'emaDecay': str(EMA), 'torch': torch.__version__, 'script': 'scripts/make-optimizer-goldens.py'},
    }
    write(out, tensors, metadata)


def write(path, tensors, metadata):
    """Safetensors: the header's length (8 bytes), the header, the bytes."""
    header, data = {'__metadata__': metadata}, b''
    for name, tensor in tensors.items():
        array = tensor.to(torch.float32).contiguous().numpy().astype('<f4')
        header[name] = {'dtype': 'F32', 'shape': list(array.shape), 'data_offsets': [len(data), len(data) + array.nbytes]}
        data += array.tobytes()
    text = json.dumps(header, separators=(',', ':')).encode()
    text += b' ' * (-len(text) % 8)
    Path(path).write_bytes(struct.pack('<Q', len(text)) + text + data)
    print(f'{path}: {len(tensors)} tensors, {8 + len(text) + len(data)} bytes')


if __name__ == '__main__':
    main(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent / 'test/goldens/optimizer.safetensors')
