#!/bin/sh
# A GPU played by the CPU: CUDA's driver and cuBLAS in a few functions (driver.cpp, cublas.cpp), and candle's kernels,
# compiled for the CPU from their own sources (kernels.h stands in for CUDA's headers). It is slow and says nothing of speed;
# it shows that the CUDA build asks for nothing that is not there, stays inside what it allocated, and computes what the
# CPU does. Needs g++, CUDA's own libcudart and a build with `--features cuda`.
#
# usage: tools/cuda/build.sh LIBS CUDART [TARGET]
#        LD_LIBRARY_PATH=LIBS target/release/protostill distill --device cuda
# CUDART: CUDA's libcudart.so.N; TARGET: cargo's target folder. At run time CUDA_BYTES limits the memory, CUDA_KERNELS=1
# lists what was launched.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
libs=$1 cudart=$2 target=${3:-target}
mkdir -p "$libs/headers/cuda/std" "$libs/parts"
libs=$(cd "$libs" && pwd)
for name in cuda.h cuda_fp16.h cuda_bf16.h cuda_fp8.h cuda/std/limits; do
    echo "#include \"$here/kernels.h\"" > "$libs/headers/$name"
done
ptx=$(dirname "$(ls -t "$target"/release/build/candle-kernels-*/out/affine.ptx | head -1)")
sources=$(ls -d "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/candle-kernels-*/src | tail -1)
flags="-std=c++17 -O2 -march=native -fPIC -fno-strict-aliasing -fpermissive -w -I$libs/headers"
for kernel in affine binary cast conv fill indexing reduce ternary unary; do
    {
        echo "#include \"$here/kernels.h\""
        echo "#include \"$sources/$kernel.cu\""
        sed -n '/f8_e4m3/d; s/.*\.entry \([A-Za-z0-9_]*\)(.*/static bool _\1 = known("\1", call<\&\1>);/p' "$ptx/$kernel.ptx"
    } > "$libs/parts/$kernel.cpp"
    g++ $flags -c "$libs/parts/$kernel.cpp" -o "$libs/parts/$kernel.o"
done
g++ $flags -shared "$here/driver.cpp" "$libs"/parts/*.o -o "$libs/libcuda.so.1" -Wl,-soname,libcuda.so.1
version=${cudart##*.so.}
echo "libcublas.so.$version { global: cublas*; };" > "$libs/parts/cublas.map"
g++ $flags -O3 -shared "$here/cublas.cpp" -o "$libs/libcublas.so.$version" \
    -Wl,-soname,"libcublas.so.$version" -Wl,--version-script="$libs/parts/cublas.map" "$libs/libcuda.so.1"
# Random numbers are drawn on the CPU; candle only makes a generator and drops it.
echo 'libcurand.so.10 { global: curand*; };' > "$libs/parts/curand.map"
printf 'int %s() { return 0; }\n' curandCreateGenerator curandDestroyGenerator curandSetStream \
    curandSetPseudoRandomGeneratorSeed > "$libs/parts/curand.c"
gcc -fPIC -shared "$libs/parts/curand.c" -o "$libs/libcurand.so.10" \
    -Wl,-soname,libcurand.so.10 -Wl,--version-script="$libs/parts/curand.map"
ln -sf "$(realpath "$cudart")" "$libs/libcudart.so.$version"
