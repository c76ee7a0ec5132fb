"""MSSR: unpaired real-world super-resolution with learned degradations, a plugin of BasicSR."""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py


class BuildWithOptions(build_py):
    """A copy of ``options`` lies where ``mssr_options.shipped`` looks; an editable installation has none."""

    def run(self):
        super().run()
        if not self.editable_mode:
            copy = Path(self.build_lib) / 'mssr_options' / 'option_files'
            shutil.rmtree(copy, ignore_errors=True)  # of an earlier build
            shutil.copytree('options', copy)


setup(
    name='mssr',
    version='0.1.0',
    description='Unpaired real-world super-resolution with learned probabilistic degradations, a plugin of BasicSR',
    license='Apache-2.0',
    license_files=['LICENSE'],
    python_requires='>=3.10',
    classifiers=[f'Programming Language :: Python :: 3.{minor}' for minor in range(10, 15)],
    packages=find_packages(include=['mssr_*']),
    # Said, although it is the default: `pip install -e .` then puts this folder on the path. Otherwise setuptools lists
    # the packages of this moment, and one that a `git pull` brings is not found until the next installation.
    package_dir={'': '.'},
    package_data={'mssr_report': ['*.html', '*.css'], 'mssr_adapt': ['*.safetensors']},
    cmdclass={'build_py': BuildWithOptions},
    entry_points={'console_scripts': ['mssr = mssr_command.__main__:main']},
    install_requires=[
        'torch>=2.6',
        'torchvision>=0.21',
        'basicsr==1.4.2',
        'setuptools; python_version >= "3.12"',  # BasicSR imports distutils
        'pytorch_wavelets>=1.3.0',
        'PyWavelets>=1.4',
        'opencv-python>=4.8',
        'pyyaml>=6.0',
        'lmdb>=1.4',
        'scikit-image>=0.22',
        'scipy>=1.10,<2',
        'numpy>=1.24',
        'pillow>=10',
        'tqdm',
        'lpips>=0.1.4',
        'DISTS-pytorch>=0.1',
        'pydantic>=2.8',
        'spandrel>=0.4',
        'safetensors>=0.4',
        'schedulefree>=1.4',
        'tifffile>=2023.2',
        'jinja2>=3.0',  # torch brings it
    ],
    extras_require={
        'test': ['pytest>=8', 'pytest-xdist>=3.5', 'hypothesis>=6.100', 'ruff>=0.6'],
        'export': ['onnx>=1.17', 'onnxscript>=0.3', 'onnxruntime>=1.20'],
        'demo': ['gradio>=6'],
    },
)
