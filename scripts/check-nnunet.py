"""Opens a folder of `gvsl export --nnunet` as nnU-Net 2.8 does, strictly: python3 scripts/check-nnunet.py FOLDER OUT [CHANNELS]

nnU-Net itself is not needed, and its code is not used: each step below follows what its preprocess_like_nnssl and PretrainedTrainer require of
a checkpoint, and fails where they would. OUT holds size.json ([D, H, W]) and image.bin (float32), which becomes every channel; OUT/local.bin
becomes the feature before the last layer. Prints one JSON document: the checkpoint's tensors as [name, shape], and the loss of three steps.
"""
import inspect
import json
import os
import pydoc
import sys
from pathlib import Path

import numpy
import torch

folder, out = Path(sys.argv[1]), Path(sys.argv[2])
channels = int(sys.argv[3]) if len(sys.argv) > 3 else 1
sys.path.insert(0, os.fspath(folder))  # PYTHONPATH, as the README says

PLAIN = (dict, list, tuple, str, int, float, bool, type(None), torch.Tensor)


def require(condition, message):
    if not condition:
        sys.exit(f'{folder}: {message}')


def check_plain(value, place):
    require(isinstance(value, PLAIN), f'{place} is {type(value)}')
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    for key, child in children:
        check_plain(child, f'{place}.{key}')


# what is read of the file
safe = {'weights_only': True} if 'weights_only' in inspect.signature(torch.load).parameters else {}
checkpoint = torch.load(folder / 'checkpoint_final.pth', map_location='cpu', **safe)
check_plain(checkpoint, 'checkpoint')
weights, plan = checkpoint['network_weights'], checkpoint['nnssl_adaptation_plan']
require(all(isinstance(tensor, torch.Tensor) for tensor in weights.values()), 'network_weights is no flat state dict')
for citation in sorted(checkpoint['citations'], key=lambda one: one['type']):
    require(citation['name'] and all(isinstance(text, str) for text in citation['apa_citations']), 'a citation lacks its text')
require(json.loads((folder / 'adaptation_plan.json').read_text()) == plan, 'adaptation_plan.json differs from the checkpoint')
json.loads((folder / 'config.json').read_text())

# preprocess_like_nnssl
configurations = list(plan['pretrain_plan']['configurations'].values())
spacing, pretrain_patch = configurations[0]['spacing'], configurations[0]['patch_size']
require(spacing is None or len(spacing) == 3 and all(isinstance(mm, (int, float)) and mm > 0 for mm in spacing), 'spacing')
for patch in (pretrain_patch, plan['recommended_downstream_patchsize']):
    require(len(patch) == 3 and all(isinstance(n, int) and n > 0 for n in patch), 'a patch is not 3 whole numbers')
architecture = dict(plan['architecture_plans'])
name, to_import = architecture.pop('arch_class_name'), architecture.pop('arch_kwargs_requiring_import')
kwargs = dict(architecture.pop('arch_kwargs'))
require(not architecture, f'unknown keys of architecture_plans: {list(architecture)}')
for key in to_import:
    kwargs[key] = pydoc.locate(kwargs[key])

# the trainer: only a class whose name ends so is built; it is called with these names
require(name.endswith(('PlainConvUNet', 'ResidualEncoderUNet')), f'{name} would not be built')
built = pydoc.locate(name)
require(built is not None, f'{name} cannot be imported')
network = built(input_channels=channels, num_classes=3, deep_supervision=False, **kwargs)

# loading the weights
encoder_key, stem_key = plan['key_to_encoder'], plan['key_to_stem']
require(network.key_to_encoder == encoder_key and network.key_to_stem == stem_key, 'the network names its parts otherwise')
require(network.key_to_lpe is None and plan['key_to_lpe'] is None, 'key_to_lpe')
require(tuple(network.keys_to_in_proj) == tuple(plan['keys_to_in_proj']), 'keys_to_in_proj')
require(stem_key not in weights, 'the stem would be taken for a part of the encoder')


def part(prefix):
    # every occurrence of the prefix is taken out of a name, not the first alone
    return {key.replace(prefix, '').lstrip('.'): tensor for key, tensor in weights.items() if key.startswith(prefix)}


stem = part(stem_key)
if channels > plan['pretrain_num_input_channels']:
    first = f"{plan['keys_to_in_proj'][0]}.weight"
    repeated = weights[first].repeat(1, channels, 1, 1, 1) / channels
    for key in plan['keys_to_in_proj']:
        stem[f'{key}.weight'.replace(stem_key, '').lstrip('.')] = repeated
network.get_submodule(encoder_key).load_state_dict(part(encoder_key), strict=True)
network.get_submodule(stem_key).load_state_dict(stem, strict=True)
if channels == plan['pretrain_num_input_channels']:
    state = network.state_dict()
    require(all(torch.equal(state[key], tensor) for key, tensor in weights.items()), 'a tensor changed on its way')

# what it computes: the input of the last layer
size = json.loads((out / 'size.json').read_text())
image = torch.from_numpy(numpy.fromfile(out / 'image.bin', dtype=numpy.float32)).view(1, 1, *size).repeat(1, channels, 1, 1, 1)
seen = {}
hook = network.head.register_forward_hook(lambda module, inputs, output: seen.update(local=inputs[0]))
with torch.no_grad():
    logits = network.eval()(image)
hook.remove()
require(list(logits.shape) == [1, 3, *size], f'logits {list(logits.shape)}')
seen['local'].contiguous().numpy().tofile(out / 'local.bin')

# three steps as the trainer makes them, of its loss the cross-entropy
torch.manual_seed(0)
target = torch.randint(0, 3, (1, *size))
optimizer = torch.optim.SGD(network.train().parameters(), 1e-3, weight_decay=3e-5, momentum=0.99, nesterov=True)
losses = []
for _ in range(3):
    optimizer.zero_grad(set_to_none=True)
    loss = torch.nn.functional.cross_entropy(network(image), target)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(network.parameters(), 12)
    optimizer.step()
    losses.append(loss.item())
require(all(parameter.grad is not None for parameter in network.parameters()), 'a parameter has no gradient')
print(json.dumps({'tensors': [[key, list(tensor.shape)] for key, tensor in weights.items()], 'losses': losses}))
