"""What stands between BasicSR's models and ours."""

from contextlib import suppress
from copy import deepcopy

import torch
from torch.nn.parallel import DistributedDataParallel

from mssr_arch.spandrel_arch import SpandrelNet
from mssr_compat.checkpoint import load_into, read_weights
from mssr_compat.provenance import note_start
from mssr_model.acceleration import Acceleration, lay_out_as_weights
from mssr_model.checkpoints import Checkpoints
from mssr_model.lr_schedule import LinearDecayLR
from mssr_model.optimizers import averaged, build_other
from mssr_model.start import Start
from mssr_model.stepping import Steps
from mssr_monitor.validation import Validator


class TrainingBase:
    """Hands what BasicSR's trainer asks for to the parts of a model; put it first among the bases.

    ================= ==========================================================================
    ``acceleration``  memory format, fused Adam, autocast, compilation (``performance:``)
    ``steps``         optimizer steps: parts of a batch, refused steps, norms of gradients, losses
    ``checkpoints``   saving as one set, resuming exactly
    ``start``         that a pretrained start is not destroyed
    ``validator``     validation: shares of several processes, record, best network
    ``monitor``       what a stage looks at while it is trained; None: nothing
    ================= ==========================================================================
    """

    monitor_class = None  #: what is built as ``monitor``, from the options

    def __init__(self, opt):
        self.net_d, self.ema_decay = None, 0  # BasicSR's constructor sets them where there are such
        self.best_metric_results = {}
        self.metric_results = dict.fromkeys((opt.get('val') or {}).get('metrics') or {}, 0)
        self.acceleration = Acceleration(opt)
        self.steps = Steps(opt, self.acceleration.scaler)
        self.checkpoints = Checkpoints(self)
        self.start = Start(self, opt)
        self.monitor = self.monitor_class and self.monitor_class(opt)
        self.validator = Validator(self, self.monitor, opt)
        super().__init__(opt)

    # --- networks and optimizers ----------------------------------------------------------------------------------

    def init_training_settings(self):
        super().init_training_settings()
        networks = {'net_g': self.net_g, 'net_d': self.net_d}
        self.steps.begin({name: net for name, net in networks.items() if net is not None}, self.optimizers)
        self.validator.prepare()

    def shown_net(self):
        """The generator or SR network that is validated: averaged weights, where training keeps such."""
        return self.net_g_ema if self.ema_decay > 0 else self.net_g

    def model_to_device(self, net):
        """As BasicSR's, also on CPUs, with ``performance:`` applied.

        Buffers are not sent round at each pass (BasicSR sends them), so that processes may validate unequal numbers of
        photos. On GPUs, batch norm takes its statistics over all processes.
        """
        on_gpu = self.device.type == 'cuda'
        if self.opt['dist'] and on_gpu:
            net = torch.nn.SyncBatchNorm.convert_sync_batchnorm(net)
        net = self.acceleration.prepare(net)
        if not self.opt['dist']:
            return super().model_to_device(net)
        for buffer in net.buffers():  # once: those of spectral norms are drawn, and it sends weights alone
            torch.distributed.broadcast(buffer, 0)
        return DistributedDataParallel(
            net, device_ids=[torch.cuda.current_device()] if on_gpu else None, broadcast_buffers=False,
            find_unused_parameters=self.opt.get('find_unused_parameters', False))

    def load_network(self, net, load_path, strict=True, param_key='params', key=None):
        """As BasicSR's, for any checkpoint that ``read_weights`` understands; ``key`` names the YAML key in errors."""
        named = (f'path.{name}' for name, path in self.opt['path'].items() if 'pretrain_network' in name)
        key = key or next((name for name in named if self.opt['path'][name.removeprefix('path.')] == load_path), None)
        state = read_weights(load_path, key, param_key=param_key,
                             part='discriminator' if net is self.net_d else 'generator')
        bare = self.get_bare_model(net)
        if isinstance(bare, SpandrelNet):
            state = bare.weights_of(state, f'{key}: {load_path}' if key else str(load_path))
        load_into(bare, state, load_path, key, strict=strict)
        note_start(self.opt, load_path)

    def judge(self, images):
        """D's logits of ``images``; gradients reach the images, not D's weights."""
        net_d = self.get_bare_model(self.net_d)
        net_d.requires_grad_(False)
        logits = net_d(images)
        net_d.requires_grad_(True)
        return logits

    def build_optimizer(self, key, params):
        """Build and list the optimizer that ``train.<key>`` describes; ``params`` as torch takes them."""
        kwargs = deepcopy(dict(self.opt['train'][key]))
        kwargs.pop('noise_lr', None)
        optimizer = self.get_optimizer(kwargs.pop('type'), params, **kwargs)
        self.optimizers.append(optimizer)
        return optimizer

    def get_optimizer(self, optim_type, params, lr, **kwargs):
        """As BasicSR's, or another, as ``performance:`` wants it; its momenta follow their weights' memory format."""
        kwargs = {**self.acceleration.optimizer_keywords(optim_type), **kwargs}
        optimizer = build_other(optim_type, params, lr, **kwargs) or \
            super().get_optimizer(optim_type, params, lr, **kwargs)
        optimizer.register_load_state_dict_post_hook(lay_out_as_weights)
        return optimizer

    def setup_schedulers(self):
        """BasicSR's schedulers, and ``LinearDecayLR``."""
        scheduler = self.opt['train']['scheduler']
        if scheduler['type'] != 'LinearDecayLR':
            super().setup_schedulers()
            return
        kwargs = {key: value for key, value in scheduler.items() if key != 'type'}
        self.schedulers += [LinearDecayLR(optimizer, **kwargs) for optimizer in self.optimizers]

    # --- steps ----------------------------------------------------------------------------------------------------

    def update_learning_rate(self, current_iter, warmup_iter=-1):
        """As BasicSR's; as it opens an iteration, what a failure in it must go back to is kept first."""
        self.checkpoints.begin_iteration(current_iter)
        super().update_learning_rate(current_iter, warmup_iter)

    def feed_data(self, data):
        """As BasicSR's, but nothing stays from the batch before: it takes any ``gt`` for this batch's ground truth."""
        with suppress(AttributeError):
            del self.gt
        self.steps.files = [path for key in ('gt_path', 'lq_path') for path in data.get(key, ())]
        super().feed_data({key: self.acceleration.placed(value) if key in ('gt', 'lq') else value
                           for key, value in data.items()})
        self.validator.saw(data)

    def update_ema(self):
        """Move the averaged weights, where ``train.ema_decay`` asks for them and no step was refused."""
        if self.ema_decay > 0 and not self.steps.guard.refused:
            self.model_ema(decay=self.ema_decay)

    @torch.no_grad()
    def model_ema(self, decay=0.999):
        """As BasicSR's, bit for bit, in a few kernels instead of two for each weight."""
        weights = dict(self.get_bare_model(self.net_g).named_parameters())
        averaged = dict(self.net_g_ema.named_parameters())
        torch._foreach_mul_(list(averaged.values()), decay)
        torch._foreach_add_(list(averaged.values()), [weights[name] for name in averaged], alpha=1 - decay)

    def get_current_log(self):
        """Losses are averaged over the processes and read from the device here, at log time, not in the step."""
        log = self.reduce_loss_dict(self.steps.losses)
        self.validator.recent.append(dict(log))
        return log

    # --- validation -----------------------------------------------------------------------------------------------

    @property
    def validated(self):
        """Data set -> iteration of its last validation."""
        return self.validator.validated

    def validation(self, dataloader, current_iter, tb_logger, save_img=False):
        """As BasicSR, without repeating the last validation under an iteration that never ran."""
        with averaged(self.optimizers):
            self.validator.validate(super().validation, dataloader, current_iter, tb_logger, save_img)

    def dist_validation(self, dataloader, current_iter, tb_logger, save_img):
        """All processes validate; BasicSR lets all but one wait."""
        self.nondist_validation(dataloader, current_iter, tb_logger, save_img)

    def nondist_validation(self, dataloader, current_iter, tb_logger, save_img):
        """As BasicSR's, then what there is to see and say about it."""
        with self.validator.observing(dataloader.dataset.opt['name'], current_iter, tb_logger):
            super().nondist_validation(dataloader, current_iter, tb_logger, save_img)

    def _update_best_metric_result(self, dataset_name, metric, val, current_iter):
        """As BasicSR's, after the mean over the photos of all processes has replaced this one's."""
        val = self.metric_results[metric] = self.validator.over_processes(val)
        super()._update_best_metric_result(dataset_name, metric, val, current_iter)

    # --- checkpoints ----------------------------------------------------------------------------------------------

    def save(self, epoch, current_iter):
        """As BasicSR's, but whole or not at all; in distributed training all processes must call it.

        Raises:
            SaveError: in all processes, where the first one cannot write. The set before is as it was.
        """
        with averaged(self.optimizers) as trained:
            self.checkpoints.save(super().save, epoch, current_iter, trained)

    def save_best(self):
        """Keep the network as ``net_g_best.pth``."""
        nets, keys = [self.net_g], ['params']
        if self.ema_decay > 0:
            nets, keys = [*nets, self.net_g_ema], [*keys, 'params_ema']
        with averaged(self.optimizers):
            self.save_network(nets, 'net_g', 'best', param_key=keys)

    def save_network(self, net, net_label, current_iter, param_key='params'):
        """As BasicSR's, with the network's options, so that the file can be used without an option file."""
        self.checkpoints.save_network(net, net_label, current_iter, param_key, self.description_of(net_label))

    def description_of(self, net_label):
        """What else a checkpoint says of its network, in plain values."""
        return {}

    def save_training_state(self, epoch, current_iter):
        """The last file of a set."""
        self.checkpoints.save_state(epoch, current_iter)

    def save_after_failure(self, epoch):
        """Save the end of the last complete iteration, if it can be had; its number, or None."""
        return self.checkpoints.save_after_failure(epoch)

    def resume_training(self, resume_state):
        """As BasicSR's, exactly.

        Raises:
            UserError: the state is of other networks or another model, or is not what it seems.
        """
        self.checkpoints.resume(super().resume_training, resume_state)
