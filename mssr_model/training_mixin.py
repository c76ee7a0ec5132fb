"""What both stages change in BasicSR's models, hook by hook."""

from copy import deepcopy

from mssr_arch.degradation_base import what_is_read
from mssr_compat.checkpoint import load_into, read_weights
from mssr_compat.provenance import note_start
from mssr_degradation.file_coding import build_coding
from mssr_model.acceleration import AccelerationMixin
from mssr_model.lr_schedule import LinearDecayLR
from mssr_model.saving import SavingMixin
from mssr_model.stepping import SteppingMixin
from mssr_monitor.validation import ValidationMixin


class TrainingMixin(SteppingMixin, ValidationMixin, SavingMixin, AccelerationMixin):
    """Overrides of BasicSR's ``SRModel`` that both stages share; put it first among the bases."""

    coding = None  # what JPEG does to generated LR (train.lq_jpeg)

    def init_training_settings(self):
        if self.coding is None:
            train_set = (self.opt.get('datasets') or {}).get('train') or {}
            self.coding = build_coding(self.opt['train'].get('lq_jpeg'), train_set, self.device)
        super().init_training_settings()
        self.setup_steps()

    def load_network(self, net, load_path, strict=True, param_key='params', key=None):
        """As BasicSR's, for any checkpoint that ``read_weights`` understands; ``key`` names the YAML key in errors."""
        named = (f'path.{name}' for name, path in self.opt['path'].items() if 'pretrain_network' in name)
        key = key or next((name for name in named if self.opt['path'][name.removeprefix('path.')] == load_path), None)
        part = 'discriminator' if net is getattr(self, 'net_d', None) else 'generator'
        state = read_weights(load_path, key, param_key=param_key, part=part)
        load_into(self.get_bare_model(net), state, load_path, key, strict=strict)
        note_start(self.opt, load_path)

    def setup_schedulers(self):
        """BasicSR's schedulers, and ``LinearDecayLR``."""
        scheduler = self.opt['train']['scheduler']
        if scheduler['type'] != 'LinearDecayLR':
            super().setup_schedulers()
            return
        kwargs = {key: value for key, value in scheduler.items() if key != 'type'}
        self.schedulers += [LinearDecayLR(optimizer, **kwargs) for optimizer in self.optimizers]

    def build_optimizer(self, key, params):
        """Build and list the optimizer that ``train.<key>`` describes; ``params`` as torch takes them."""
        kwargs = deepcopy(dict(self.opt['train'][key]))
        kwargs.pop('noise_lr', None)
        optimizer = self.get_optimizer(kwargs.pop('type'), params, **kwargs)
        self.optimizers.append(optimizer)
        return optimizer

    def degrade(self, G, y, z=None):
        """``G(y; z)``, or a fresh draw; a generator that does not downsample (DSGAN) reads the bicubic LR of ``y``."""
        return G(what_is_read(self.get_bare_model(G), y, self.opt['scale']), z)

    def as_file(self, x):
        """Generated LR as a file of the real photos' kind holds it (``train.lq_jpeg``)."""
        return x if self.coding is None else self.coding(x)

    def draw_noise(self, G, y):
        """Noise maps ``z`` for ``degrade(G, y, z)``, each with y's batch as its first dimension."""
        G = self.get_bare_model(G)
        factor = self.opt['scale'] // G.scale
        return G.draw_noise(y[..., ::factor, ::factor])  # only the shape counts

    def feed_data(self, data):
        """As BasicSR, but nothing stays from the batch before (a set without ground truth has no ``gt``)."""
        self.__dict__.pop('gt', None)
        self.batch_files = [path for key in ('gt_path', 'lq_path') for path in data.get(key, ())]
        super().feed_data(data)
