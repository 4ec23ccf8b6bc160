// cuBLAS, as far as candle asks it: column-major products, summed in float32.
#include "kernels.h"
#include <vector>

enum { SUCCESS = 0, INVALID_VALUE = 7, NOT_SUPPORTED = 15, FLOAT = 0, HALF = 2, BRAIN = 14, COMPUTE_HALF = 64 };
extern "C" void count_launch(const char* name);

static float get(const void* x, size_t i, int type) {
    return type == FLOAT ? ((float*)x)[i] : type == HALF ? float(((__half*)x)[i]) : float(((__nv_bfloat16*)x)[i]);
}
static void put(void* x, size_t i, int type, float value) {
    if (type == FLOAT) ((float*)x)[i] = value;
    else if (type == HALF) ((__half*)x)[i] = value;
    else ((__nv_bfloat16*)x)[i] = value;
}

extern "C" {
int cublasCreate_v2(void** handle) { *handle = (void*)count_launch; return SUCCESS; }
int cublasDestroy_v2(void*) { return SUCCESS; }
int cublasSetStream_v2(void*, void*) { return SUCCESS; }
int cublasDgemmStridedBatched() { return NOT_SUPPORTED; }
int cublasGemmStridedBatchedEx(void*, int ta, int tb, int m, int n, int k, const void* alpha, const void* a, int a_type, int lda,
                               long a_next, const void* b, int b_type, int ldb, long b_next, const void* beta, void* c, int c_type,
                               int ldc, long c_next, int batch, int compute, int) {
    for (int type : {a_type, b_type, c_type})
        if (type != FLOAT && type != HALF && type != BRAIN) return NOT_SUPPORTED;
    if (m < 0 || n < 0 || k < 0 || lda < max(1, ta ? k : m) || ldb < max(1, tb ? n : k) || ldc < max(1, m)) return INVALID_VALUE;
    count_launch(a_type == FLOAT ? "gemm_f32" : a_type == HALF ? "gemm_f16" : "gemm_bf16");
    int scalar = compute == COMPUTE_HALF ? HALF : FLOAT;
    float times = get(alpha, 0, scalar), keep = get(beta, 0, scalar);
    std::vector<float> left((size_t)k * m), column(m);
    for (int i = 0; i < batch; i++) {
        if (i == 0 || a_next)
            for (int l = 0; l < k; l++)
                for (int r = 0; r < m; r++)
                    left[(size_t)l * m + r] = get(a, i * a_next + (ta ? (size_t)r * lda + l : (size_t)l * lda + r), a_type);
        for (int j = 0; j < n; j++) {
            std::fill(column.begin(), column.end(), 0.f);
            for (int l = 0; l < k; l++) {
                float value = get(b, i * b_next + (tb ? (size_t)l * ldb + j : (size_t)j * ldb + l), b_type);
                for (int r = 0; r < m; r++) column[r] += left[(size_t)l * m + r] * value;
            }
            for (int r = 0; r < m; r++) {
                size_t at = i * c_next + (size_t)j * ldc + r;
                put(c, at, c_type, times * column[r] + (keep ? keep * get(c, at, c_type) : 0));
            }
        }
    }
    return SUCCESS;
}
}
