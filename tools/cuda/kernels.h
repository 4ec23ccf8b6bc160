// What candle's kernels take from CUDA's headers, for a CPU that runs one thread after the other.
#pragma once
#include <algorithm>
#include <cassert>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <utility>

#define __CUDA_ARCH__ 800
#define __CUDACC_VER_MAJOR__ 13
#define __CUDACC_VER_MINOR__ 0
#define __global__
#define __host__
#define __device__ inline
#define __forceinline__
#define __restrict__
#define __shared__ static // one block runs at a time

using std::isnan, std::max, std::min, std::signbit;
namespace cuda { namespace std { template <class T> using numeric_limits = ::std::numeric_limits<T>; } }

struct dim3 { unsigned x, y, z; };
extern dim3 threadIdx, blockIdx, blockDim, gridDim;

// A kernel, called with pointers to its arguments.
typedef void (*Kernel)(void**);
bool known(const char* name, Kernel kernel);
template <class... A, size_t... I> void unpack(void (*kernel)(A...), void** args, std::index_sequence<I...>) {
    kernel(*static_cast<std::decay_t<A>*>(args[I])...);
}
template <class... A> void unpack(void (*kernel)(A...), void** args) {
    unpack(kernel, args, std::index_sequence_for<A...>());
}
template <auto F> void call(void** args) { unpack(F, args); }

// Waits for the threads of the block, or of the warp.
void wait_for_block();
void wait_for_warp();
char* slot(unsigned other); // where the thread of the warp whose number differs by `other` leaves a value
inline void __syncthreads() { wait_for_block(); }
template <class T> T __shfl_xor_sync(unsigned, T value, int mask, int = 32) {
    memcpy(slot(0), &value, sizeof value);
    wait_for_warp();
    memcpy(&value, slot(mask), sizeof value);
    wait_for_warp();
    return value;
}

template <class T, class U> T atomicAdd(T* at, U value) { T old = *at; *at = T(old + T(value)); return old; }
template <class T, class U> T atomicMax(T* at, U value) { T old = *at; *at = std::max<T>(old, value); return old; }
template <class T, class U> T atomicMin(T* at, U value) { T old = *at; *at = std::min<T>(old, value); return old; }
template <class T, class U, class V> T atomicCAS(T* at, U is, V value) { T old = *at; if (old == T(is)) *at = value; return old; }

struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float rsqrtf(float x) { return 1 / sqrtf(x); }
inline float normcdff(float x) { return 0.5f * erfcf(-x * 0.70710678f); }
inline double normcdf(double x) { return 0.5 * erfc(-x * M_SQRT1_2); }
template <class T, class U> T bits(U value) { T out; static_assert(sizeof out == sizeof value); memcpy(&out, &value, sizeof out); return out; }
inline unsigned __float_as_uint(float x) { return bits<unsigned>(x); }
inline int __float_as_int(float x) { return bits<int>(x); }
inline float __uint_as_float(unsigned x) { return bits<float>(x); }
inline float __int_as_float(int x) { return bits<float>(x); }
inline long long __double_as_longlong(double x) { return bits<long long>(x); }
inline double __longlong_as_double(long long x) { return bits<double>(x); }

// Numbers of 16 bits: every operation rounds once, to the nearest, ties to even.
struct Half {
    static uint16_t pack(float x) { return bits<uint16_t>(_Float16(x)); }
    static float unpack(uint16_t x) { return bits<_Float16>(x); }
};
struct Brain {
    static uint16_t pack(float x) {
        uint32_t u = bits<uint32_t>(x);
        return isnan(x) ? 0x7fff : (u + 0x7fff + (u >> 16 & 1)) >> 16;
    }
    static float unpack(uint16_t x) { return bits<float>(uint32_t(x) << 16); }
};
template <class Format> struct Sixteen {
    uint16_t raw;
    Sixteen() = default;
    template <class T, class = std::enable_if_t<std::is_arithmetic_v<T>>> Sixteen(T x) : raw(Format::pack(float(x))) {}
    operator float() const { return Format::unpack(raw); }
#define OPERATOR(o) \
    Sixteen& operator o##=(Sixteen b) { return *this = Sixteen(float(*this) o float(b)); } \
    friend Sixteen operator o(Sixteen a, Sixteen b) { return float(a) o float(b); }
    OPERATOR(+) OPERATOR(-) OPERATOR(*) OPERATOR(/)
#define COMPARISON(o) friend bool operator o(Sixteen a, Sixteen b) { return float(a) o float(b); }
    COMPARISON(<) COMPARISON(>) COMPARISON(<=) COMPARISON(>=) COMPARISON(==) COMPARISON(!=)
    friend Sixteen operator-(Sixteen a) { return -float(a); }
};
typedef Sixteen<Half> __half;
typedef Sixteen<Brain> __nv_bfloat16;
template <class F> bool __hisnan(Sixteen<F> x) { return isnan(float(x)); }
#define FUNCTION(name, of) template <class F> Sixteen<F> name(Sixteen<F> x) { return of(float(x)); }
FUNCTION(hsqrt, sqrtf) FUNCTION(hcos, cosf) FUNCTION(hsin, sinf) FUNCTION(hlog, logf) FUNCTION(hexp, expf) FUNCTION(__habs, fabsf)
template <class F> Sixteen<F> __hmax_nan(Sixteen<F> a, Sixteen<F> b) { return __hisnan(a) || a > b ? a : b; }
template <class F> Sixteen<F> __hmin_nan(Sixteen<F> a, Sixteen<F> b) { return __hisnan(a) || a < b ? a : b; }
struct __nv_bfloat162 { __nv_bfloat16 x, y; };
inline __nv_bfloat162 __hadd2(__nv_bfloat162 a, __nv_bfloat162 b) { return {a.x + b.x, a.y + b.y}; }
inline __nv_bfloat162 __hmul2(__nv_bfloat162 a, __nv_bfloat162 b) { return {a.x * b.x, a.y * b.y}; }
inline float __half2float(__half x) { return x; }
inline __half __float2half(float x) { return x; }
inline unsigned short __half_as_ushort(__half x) { return x.raw; }
inline __half __ushort_as_half(unsigned short x) { return bits<__half>(x); }
inline float __bfloat162float(__nv_bfloat16 x) { return x; }
inline __nv_bfloat16 __float2bfloat16(float x) { return x; }
inline __nv_bfloat16 __float2bfloat16_rn(float x) { return x; }

// Numbers of 8 bits are not computed with.
enum { __NV_E4M3 };
struct __nv_fp8_e4m3 {
    unsigned char __x;
    __nv_fp8_e4m3() = default;
    template <class T> explicit __nv_fp8_e4m3(T) { abort(); }
    operator float() const { abort(); }
};
inline __half __nv_cvt_fp8_to_halfraw(unsigned char, int) { abort(); }
