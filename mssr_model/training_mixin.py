"""What both stages change in BasicSR's models, hook by hook."""

from collections import OrderedDict
from copy import deepcopy

from mssr_arch.imresize import bicubic_downsample
from mssr_compat.checkpoint import load_into, read_weights
from mssr_model.lr_schedule import LinearDecayLR


class TrainingMixin:
    """Overrides of BasicSR's ``SRModel`` that both stages share; put it first among the bases."""

    losses = OrderedDict()  # detached loss tensors of the last step

    def load_network(self, net, load_path, strict=True, param_key='params', key=None):
        """As BasicSR's, for any checkpoint that ``read_weights`` understands; ``key`` names the YAML key in errors."""
        part = 'discriminator' if net is getattr(self, 'net_d', None) else 'generator'
        state = read_weights(load_path, key, param_key=param_key, part=part)
        load_into(self.get_bare_model(net), state, load_path, key, strict=strict)

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

    def degrade(self, G, y):
        """``G(y)``, a fresh draw; a generator that does not downsample (DSGAN) reads the bicubic LR of ``y``."""
        factor = self.opt['scale'] // self.get_bare_model(G).scale
        return G(y if factor == 1 else bicubic_downsample(y, factor))

    def feed_data(self, data):
        """As BasicSR, but nothing stays from the batch before (a set without ground truth has no ``gt``)."""
        self.__dict__.pop('gt', None)
        super().feed_data(data)

    def get_current_log(self):
        """Losses are averaged over the ranks and read from the device here, at log time, not in the step."""
        return self.reduce_loss_dict(self.losses)

    def update_ema(self):
        """Move the averaged weights, where ``train.ema_decay`` asks for them."""
        if self.ema_decay > 0:
            self.model_ema(decay=self.ema_decay)

    def validation(self, dataloader, current_iter, tb_logger, save_img=False):
        """As BasicSR, without repeating the last validation under an iteration that never ran."""
        if self.is_train:
            current_iter = min(current_iter, int(self.opt['train']['total_iter']))
            done = self.__dict__.setdefault('_validated', {})
            name = dataloader.dataset.opt['name']
            if done.get(name) == current_iter:
                return
            done[name] = current_iter
        super().validation(dataloader, current_iter, tb_logger, save_img)
