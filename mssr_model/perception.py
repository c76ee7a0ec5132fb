"""Stage 2's perceptual and adversarial terms, which the published step has not."""

from basicsr.archs import build_network
from basicsr.losses import build_loss
from torch import Tensor

from mssr_arch.sharpening import sharpened
from mssr_model.base import TrainingBase


class PerceptionBase(TrainingBase):
    """Put first among the bases of a model that trains an SR network on ``lq`` and ``gt`` through ``steps``.

    Options under ``train``: ``perceptual_opt`` (``LPIPSLoss``, BasicSR's ``PerceptualLoss``, ...), and ``gan_opt`` with
    ``network_d``, ``optim_d``, ``net_d_iters`` and ``net_d_init_iters``, as BasicSR's SRGANModel has them. D, which
    tells clean HR photos from restored ones, is stepped before S in each iteration, which is judged by the new D.
    ``gt_sharpen``: the pixel and perceptual losses compare with sharpened clean photos, as Real-ESRGAN's do; D and the
    generators of degradations see them as they are. Without these options the terms are off, and nothing else is
    computed or drawn.
    """

    cri_gan = optimizer_d = None

    def setup_optimizers(self):
        """One optimizer for all of S (one Adam over all branches is bit-identical to one each), and one for D."""
        train_opt = self.opt['train']
        self.optimizer_g = self.build_optimizer('optim_g', self.net_g.parameters())
        self.net_d_iters = train_opt.get('net_d_iters', 1)
        self.net_d_init_iters = train_opt.get('net_d_init_iters', 0)
        if not train_opt.get('gan_opt'):
            return
        self.cri_gan = build_loss(train_opt['gan_opt']).to(self.device)
        self.net_d = self.model_to_device(build_network(self.opt['network_d']))
        self.print_network(self.net_d)
        path = self.opt['path']
        if path.get('pretrain_network_d'):
            self.load_network(self.net_d, path['pretrain_network_d'], path.get('strict_load_d', True),
                              path.get('param_key_d', 'params'))
        self.net_d.train()
        self.optimizer_d = self.build_optimizer('optim_d', self.net_d.parameters())

    def wanted(self, y: Tensor) -> Tensor:
        """What S is to make of the LR of clean HR photos ``y`` (N, 3, H, W)."""
        share = self.opt['train'].get('gt_sharpen')
        return sharpened(y, share) if share else y

    def restorer_learns(self, current_iter: int) -> bool:
        """Whether S is stepped in this iteration: always, but for ``net_d_iters`` and ``net_d_init_iters``."""
        return not self.cri_gan or (current_iter > self.net_d_init_iters and current_iter % self.net_d_iters == 0)

    def loss_of_d(self, restored: list[Tensor], y: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """``-log D(y) - log(1 - D(S(x)))`` (or what ``gan_opt`` has in its place), and what the log tells of it.

        Args:
            restored: batches (N, 3, H, W), without gradients; their mean counts.
            y: clean HR photos, (N, 3, H, W).
        """
        real, fakes = self.net_d(y), [self.net_d(S.detach()) for S in restored]
        l_d_real = self.cri_gan(real, True, is_disc=True)
        l_d_fake = sum(self.cri_gan(fake, False, is_disc=True) for fake in fakes) / len(fakes)
        return l_d_real + l_d_fake, {'l_d_real': l_d_real, 'l_d_fake': l_d_fake, 'out_d_real': real.mean(),
                                     'out_d_fake': sum(fake.mean() for fake in fakes) / len(fakes)}

    def perceived(self, S: Tensor, y: Tensor) -> dict[str, Tensor]:
        """``l_percep``, ``l_style`` and ``l_gan`` of restored photos ``S``, as far as they are on."""
        losses = {}
        if self.cri_perceptual:
            terms = self.cri_perceptual(S, y)
            terms = terms if isinstance(terms, tuple) else (terms,)
            named = zip(('l_percep', 'l_style'), terms, strict=False)
            losses.update({name: term for name, term in named if term is not None})
        if self.cri_gan:
            losses['l_gan'] = self.cri_gan(self.judge(S), True, is_disc=False)
        return losses

    def save_training_state(self, epoch, current_iter):
        """The last file of a set; that of D comes before it."""
        if self.net_d is not None:
            self.save_network(self.net_d, 'net_d', current_iter)
        super().save_training_state(epoch, current_iter)
