"""MSSR: unpaired real-world super-resolution with learned degradations, a plugin of BasicSR."""

from setuptools import find_packages, setup

setup(
    name='mssr',
    version='0.1.0',
    description='Unpaired real-world super-resolution with learned probabilistic degradations, a plugin of BasicSR',
    python_requires='>=3.10,<3.13',  # BasicSR 1.4.2 does not build on 3.13
    packages=find_packages(include=['mssr_*']),
    package_data={'mssr_report': ['report.html']},
    install_requires=[
        'torch>=2.6',
        'torchvision>=0.21',
        'basicsr==1.4.2',
        'pytorch_wavelets>=1.3.0',
        'PyWavelets>=1.4',
        'setuptools<81',  # pytorch_wavelets and lpips import pkg_resources-era modules
        'opencv-python>=4.8',
        'pyyaml>=6.0',
        'lmdb>=1.4',
        'scikit-image>=0.22',
        'scipy>=1.10,<2',
        'numpy>=1.24',
        'pillow>=10',
        'tqdm',
        'lpips>=0.1.4',
        'pydantic>=2.8',
        'safetensors>=0.4',
        'tifffile>=2023.2',
        'jinja2>=3.0',  # torch brings it
    ],
    extras_require={
        'test': ['pytest>=8', 'pytest-xdist>=3.5', 'hypothesis>=6.100', 'ruff>=0.6'],
        'export': ['spandrel>=0.4', 'onnx>=1.17', 'onnxscript>=0.3', 'onnxruntime>=1.20'],
        'demo': ['gradio>=5'],
    },
)
