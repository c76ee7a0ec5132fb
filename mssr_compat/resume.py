"""Find the state that a run resumes from."""

from pathlib import Path

import torch
from basicsr.utils.misc import check_resume


def load_resume_state(opt):
    """As BasicSR's, on any device and from any folder.

    BasicSR asks CUDA for the current device, and looks for states to auto-resume below the current folder instead of
    the experiment's. Sets ``opt['resume_iter']``, where the sampler goes on.
    """
    path = opt['path'].get('resume_state')
    if opt['auto_resume']:
        states = Path(opt['path']['training_states']).glob('[0-9]*.state')
        path = max(states, key=lambda state: int(state.stem), default=None)
        opt['path']['resume_state'] = path and str(path)
    if not path:
        return None
    state = torch.load(path, map_location='cpu', weights_only=True)
    check_resume(opt, state['iter'])
    opt['resume_iter'] = state['iter']
    return state
