// CUDA's driver, as far as candle asks it: memory is the CPU's, a launch is done when it returns.
#include "kernels.h"
#include <cstdio>
#include <map>
#include <mutex>
#include <string>
#include <sys/mman.h>

enum { OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, INVALID_DEVICE = 101, NOT_FOUND = 500, NOT_SUPPORTED = 801 };
static std::mutex lock;

[[noreturn]] static void fault(const char* what) {
    fprintf(stderr, "tools/cuda: %s\n", what);
    abort();
}

// Kernels and how often each was launched.
static std::map<std::string, Kernel>& kernels() { static std::map<std::string, Kernel> all; return all; }
bool known(const char* name, Kernel kernel) { return kernels().emplace(name, kernel).second; }
static std::map<std::string, long> launched;
extern "C" void count_launch(const char* name) { std::lock_guard<std::mutex> held(lock); launched[name]++; }

// Threads of a block that wait for each other: each has a stack of its own, and they take turns.
dim3 threadIdx, blockIdx, blockDim, gridDim;
extern "C" void turn(void** from, void* to);
asm(".globl turn\nturn:\n"
    "push %rbp\n push %rbx\n push %r12\n push %r13\n push %r14\n push %r15\n"
    "mov %rsp, (%rdi)\n mov %rsi, %rsp\n"
    "pop %r15\n pop %r14\n pop %r13\n pop %r12\n pop %rbx\n pop %rbp\n ret\n");
const unsigned THREADS = 1024, WARP = 32, BLOCK = THREADS / WARP, STACK = 1 << 16;
static struct { void* at; char* stack; bool done; } threads[THREADS];
static struct { unsigned alive, waiting, round; } groups[BLOCK + 1]; // the warps, then the block
static char slots[THREADS][16];
static void* caller;
static unsigned now;
static Kernel running;
static void** arguments;

static void set_thread(unsigned t) {
    now = t;
    threadIdx = {t % blockDim.x, t / blockDim.x % blockDim.y, t / blockDim.x / blockDim.y};
}
static void release(unsigned g) { groups[g].waiting = 0, groups[g].round++; }
static void wait_for(unsigned g) {
    unsigned round = groups[g].round, me = now;
    if (++groups[g].waiting == groups[g].alive) return release(g);
    while (groups[g].round == round) turn(&threads[me].at, caller);
}
static void leave(unsigned g) { if (--groups[g].alive && groups[g].waiting == groups[g].alive) release(g); }
void wait_for_block() { wait_for(BLOCK); }
void wait_for_warp() { wait_for(now / WARP); }
char* slot(unsigned other) { return slots[now ^ other]; }
static void thread() {
    running(arguments);
    unsigned me = now;
    threads[me].done = true;
    leave(me / WARP), leave(BLOCK);
    turn(&threads[me].at, caller);
}
static void run_together(unsigned count) {
    memset(groups, 0, sizeof groups);
    groups[BLOCK].alive = count;
    for (unsigned t = 0; t < count; t++) {
        groups[t / WARP].alive++;
        auto& own = threads[t];
        if (!own.stack) own.stack = (char*)mmap(nullptr, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        void** top = (void**)(own.stack + STACK - 64);
        *--top = nullptr, *--top = (void*)thread; // where `turn` returns to the first time, its stack aligned as after a call
        own.at = memset(top - 6, 0, 6 * sizeof *top), own.done = false;
    }
    for (unsigned left = count; left;)
        for (unsigned t = 0; t < count; t++)
            if (!threads[t].done) {
                set_thread(t);
                turn(&caller, threads[t].at);
                left -= threads[t].done;
            }
}
static bool waits(const std::string& name) {
    for (const char* start : {"sum_", "fast_", "softmax", "rmsnorm", "layernorm"})
        if (name.rfind(start, 0) == 0) return true;
    return false;
}

// Memory, and that nothing is copied outside what was allocated. Fresh memory is NaN.
static std::map<char*, size_t> allocated;
static size_t held, most;
static int take(void** out, size_t size) {
    std::lock_guard<std::mutex> guard(lock);
    static const char* limit = getenv("CUDA_BYTES");
    if ((limit && held + size > strtoull(limit, nullptr, 10)) || posix_memalign(out, 256, size + !size)) return OUT_OF_MEMORY;
    allocated[(char*)memset(*out, 0xff, size)] = size;
    most = std::max(most, held += size);
    return OK;
}
static int give(void* at) {
    std::lock_guard<std::mutex> guard(lock);
    auto found = allocated.find((char*)at);
    if (found == allocated.end()) fault("freed what was not allocated");
    held -= found->second;
    allocated.erase(found);
    free(at);
    return OK;
}
static void* inside(void* at, size_t size) {
    std::lock_guard<std::mutex> guard(lock);
    auto after = allocated.upper_bound((char*)at);
    if (size && (after == allocated.begin() || (char*)at + size > std::prev(after)->first + std::prev(after)->second))
        fault("copied outside what was allocated");
    return at;
}

extern "C" {
int cuInit(unsigned) { return OK; }
int cuDeviceGet(int* device, int number) { *device = number; return number ? INVALID_DEVICE : OK; }
int cuDeviceGetAttribute(int* value, int what, int) { *value = what == 75 ? 8 : what == 76 ? 0 : 1; return OK; } // compute capability 8.0
int cuDevicePrimaryCtxRetain(void** context, int) { *context = &held; return OK; }
int cuDevicePrimaryCtxRelease_v2(int) { return OK; }
int cuCtxDestroy_v2(void*) { return OK; }
static thread_local void* current;
int cuCtxGetCurrent(void** context) { *context = current; return OK; }
int cuCtxSetCurrent(void* context) { current = context; return OK; }
int cuEventCreate(void** event, unsigned) { *event = &held; return OK; }
int cuEventDestroy_v2(void*) { return OK; }
int cuEventRecord(void*, void*) { return OK; }
int cuStreamDestroy_v2(void*) { return OK; }
int cuStreamIsCapturing(void*, int* state) { *state = 0; return OK; }
int cuStreamSynchronize(void*) { return OK; }
int cuStreamWaitEvent(void*, void*, unsigned) { return OK; }
int cuGetErrorString(int error, const char** text) {
    *text = error == INVALID_DEVICE ? "invalid device ordinal" : error == OUT_OF_MEMORY ? "out of memory" : "an error";
    return OK;
}
int cuMemAlloc_v2(void** out, size_t size) { return take(out, size); }
int cuMemAllocAsync(void** out, size_t size, void*) { return take(out, size); }
int cuMemFree_v2(void* at) { return give(at); }
int cuMemFreeAsync(void* at, void*) { return give(at); }
int cuMemcpyDtoDAsync_v2(void* to, void* from, size_t size, void*) { memmove(inside(to, size), inside(from, size), size); return OK; }
int cuMemcpyDtoHAsync_v2(void* to, void* from, size_t size, void*) { memcpy(to, inside(from, size), size); return OK; }
int cuMemcpyHtoDAsync_v2(void* to, void* from, size_t size, void*) { memcpy(inside(to, size), from, size); return OK; }
int cuMemcpyPeerAsync() { return NOT_SUPPORTED; }
int cuMemsetD8Async(void* at, unsigned char value, size_t size, void*) { memset(inside(at, size), value, size); return OK; }
int cuModuleLoad() { return NOT_SUPPORTED; }
int cuModuleUnload(void*) { return OK; }
int cuModuleLoadData(void** module, const void* ptx) { *module = new std::string((const char*)ptx); return OK; } // kept: it is a few
int cuModuleGetFunction(void** out, void* module, const char* name) {
    auto found = kernels().find(name);
    if (found == kernels().end() || ((std::string*)module)->find(".entry " + found->first + "(") == std::string::npos) return NOT_FOUND;
    *out = &*found;
    return OK;
}
int cuLaunchKernel(void* function, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared,
                   void*, void** args, void**) {
    auto& [name, kernel] = *(std::pair<const std::string, Kernel>*)function;
    unsigned long count = (unsigned long)bx * by * bz;
    if (!gx || !gy || !gz || gx >> 31 || gy > 65535 || gz > 65535 || !count || count > THREADS || shared > 49152) return INVALID_VALUE;
    count_launch(name.c_str());
    std::lock_guard<std::mutex> guard(lock);
    gridDim = {gx, gy, gz}, blockDim = {bx, by, bz}, running = kernel, arguments = args;
    for (blockIdx.z = 0; blockIdx.z < gz; blockIdx.z++)
        for (blockIdx.y = 0; blockIdx.y < gy; blockIdx.y++)
            for (blockIdx.x = 0; blockIdx.x < gx; blockIdx.x++)
                if (waits(name)) run_together(count);
                else for (unsigned t = 0; t < count; t++) set_thread(t), kernel(args);
    return OK;
}
}

static struct Report {
    ~Report() {
        if (!getenv("CUDA_KERNELS")) return;
        fprintf(stderr, "tools/cuda: %.1f MB at most, %.1f MB not freed\n", most / 1e6, held / 1e6);
        for (auto& [name, times] : launched) fprintf(stderr, "tools/cuda: %s %ld\n", name.c_str(), times);
    }
} report;
