/** The Python files that travel with exported models. */
import { fileURLToPath } from 'node:url';

const script = (name: string): string => fileURLToPath(new URL(`../../../../scripts/${name}`, import.meta.url));

/** The networks in PyTorch. */
export const TORCH_MODULE = script('gvsl_torch.py');
/** The same as a plug-in of nnU-Net. */
export const NNUNET_MODULE = script('gvsl_nnunet.py');
/** What a MONAI bundle has in its folder scripts/, beside the networks. */
export const BUNDLE_MODULES = ['__init__', 'net', 'preparation', 'transforms'].map((name) => script(`monai/${name}.py`));
