/* A driver library for tests without a card: memory of the card is the host's, everything runs at once, and kernels only leave a trace.

A launch is appended to the buffer that the environment variable CUDA_STUB_TRACE names as a file: grid, block, stream, function, the size
of the parameter block, and the block itself, each number as 8 bytes. CUDA_STUB_VERSION sets the CUDA version that the driver is for. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int R;
typedef void *H;
typedef unsigned long long P;

static _Thread_local H context;
static P handles = 0x2000;
static long allocations;
static R new_handle(H *h) { *h = (H)(handles += 16); return 0; }
static R not_there(void) { return 1; }

R cuInit(unsigned flags) { return 0; }
R cuDriverGetVersion(int *v) { const char *s = getenv("CUDA_STUB_VERSION"); *v = s ? atoi(s) : 13000; return 0; }
R cuGetErrorName(R e, const char **s) { *s = e == 2 ? "CUDA_ERROR_OUT_OF_MEMORY" : "CUDA_ERROR_INVALID_VALUE"; return 0; }
R cuGetErrorString(R e, const char **s) { *s = e == 2 ? "out of memory" : "invalid argument"; return 0; }
R cuDeviceGetCount(int *n) { *n = 1; return 0; }
R cuDeviceGet(int *d, int i) { *d = i; return i != 0; }
R cuDeviceGetName(char *name, int n, int d) { strncpy(name, "stub card", n); return 0; }
R cuDeviceTotalMem_v2(size_t *n, int d) { *n = 1ull << 34; return 0; }
R cuDeviceGetAttribute(int *v, int a, int d) {
    switch (a) {
    case 1: *v = 1024; break;
    case 10: *v = 32; break;
    case 16: *v = 132; break;
    case 75: *v = 9; break;
    default: *v = 0;
    }
    return 0;
}
R cuDevicePrimaryCtxRetain(H *c, int d) { *c = (H)0x1000; return 0; }
R cuCtxGetCurrent(H *c) { *c = context; return 0; }
R cuCtxSetCurrent(H c) { context = c; return 0; }
R cuCtxSynchronize(void) { return context ? 0 : 201; }

R cuStreamCreateWithPriority(H *s, unsigned flags, int p) { return flags == 1 && context ? new_handle(s) : 1; }
R cuStreamSynchronize(H s) { return s ? 0 : 400; }
R cuStreamQuery(H s) { return s ? 0 : 400; }
R cuStreamWaitEvent(H s, H e, unsigned flags) { return s && e ? 0 : 400; }
R cuEventCreate(H *e, unsigned flags) { return context ? new_handle(e) : 201; }
R cuEventRecord(H e, H s) { return s && e ? 0 : 400; }
R cuEventQuery(H e) { return e ? 0 : 400; }
R cuEventSynchronize(H e) { return e ? 0 : 400; }
R cuEventElapsedTime(float *ms, H a, H b) { *ms = 1.5f; return 0; }
R cuEventElapsedTime_v2(float *ms, H a, H b) { *ms = 1.5f; return 0; }

R cuMemAlloc_v2(P *p, size_t n) {
    void *q;
    if (!context) return 201;
    if (n > (1ull << 32) || posix_memalign(&q, 512, n)) return 2;
    *p = (P)q;
    allocations++;
    return 0;
}
R cuMemAllocAsync(P *p, size_t n, H s) { return cuMemAlloc_v2(p, n); }
R cuMemFree_v2(P p) { free((void *)p); allocations--; return 0; }
R cuMemFreeAsync(P p, H s) { return cuMemFree_v2(p); }
R cuMemHostAlloc(void **p, size_t n, unsigned flags) { return posix_memalign(p, 512, n) ? 2 : 0; }
R cuMemHostGetDevicePointer_v2(P *p, void *host, unsigned flags) { *p = (P)host; return 0; }
R cuMemFreeHost(void *p) { free(p); return 0; }
R cuMemGetInfo_v2(size_t *f, size_t *t) { *f = 1ull << 33; *t = 1ull << 34; return 0; }
R cuMemcpyHtoDAsync_v2(P d, const void *s, size_t n, H st) { memcpy((void *)d, s, n); return 0; }
R cuMemcpyDtoHAsync_v2(void *d, P s, size_t n, H st) { memcpy(d, (void *)s, n); return 0; }
R cuMemcpyDtoDAsync_v2(P d, P s, size_t n, H st) { memcpy((void *)d, (void *)s, n); return 0; }
R cuMemcpyPeerAsync(P d, H dc, P s, H sc, size_t n, H st) { memcpy((void *)d, (void *)s, n); return dc && sc ? 0 : 201; }
R cuMemsetD8Async(P p, unsigned char c, size_t n, H s) { memset((void *)p, c, n); return 0; }

R cuModuleLoadData(H *m, const void *image) { return memcmp(image, "cubin", 5) && memcmp(image, "\177ELF", 4) ? 200 : new_handle(m); }
R cuModuleGetFunction(H *f, H m, const char *name) { return strcmp(name, "kernel") ? 500 : new_handle(f); }

R cuLaunchKernel(H f, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz, unsigned shared, H stream, void **p, void **extra) {
    static FILE *trace;
    static int asked;
    if (!extra || p || extra[0] != (void *)1 || extra[2] != (void *)2 || extra[4]) return 1;
    if (!asked) {
        const char *name = getenv("CUDA_STUB_TRACE");
        trace = name ? fopen(name, "wb") : 0;
        asked = 1;
    }
    if (trace) {
        size_t size = *(size_t *)extra[3];
        int64_t words[] = {gx, gy, gz, bx, by, bz, (int64_t)stream, (int64_t)f, (int64_t)size};
        fwrite(words, 8, 9, trace);
        fwrite(extra[1], 1, size, trace);
        fflush(trace);
    }
    return 0;
}

long stub_allocations(void) { return allocations; }

R cuGetProcAddress_v2(const char *name, void **function, int version, P flags, int *status) {
    char longer[256];
    void *library = dlopen("libcuda.so.1", RTLD_NOLOAD | RTLD_LAZY);
    if (status) *status = 0;
    snprintf(longer, sizeof longer, "%s_v2", name);
    *function = library ? dlsym(library, longer) : 0;
    if (library && !*function) *function = dlsym(library, name);
    if (!*function) *function = (void *)not_there;
    return 0;
}
R cuGetProcAddress(const char *name, void **function, int version, P flags) { return cuGetProcAddress_v2(name, function, version, flags, 0); }
