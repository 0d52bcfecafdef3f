/* The threads of a GPU's kernel as fibers of this process, and what watches their memory.

`emu_run` runs a grid block by block. A fiber runs until it meets a barrier; barriers are met when all threads
of the block (or all of a warp's mask) have come. Every read and write of a kernel calls `emu_read`, or
`emu_write` before and `emu_wrote` after it, which note in `emu_error` what would be wrong on a GPU:

- memory that no array holds, or that lies at no multiple of the instruction's bytes;
- what two threads read and write with no barrier between them;
- threads that end, or wait elsewhere, while others wait at a barrier.
*/
#define _GNU_SOURCE
#include <math.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

enum { MOST_THREADS = 1024, WARP = 32, STACK = 1 << 17, WORD = 4, MANY = 0xFFFE, OTHER_BLOCK = 0xFFFF };

/* --- memory ------------------------------------------------------------------------------------------- */

/* Who touched a word last: the times of `now`, and the threads. Times begin anew with no launch. */
typedef struct { uint32_t wrote, read; uint16_t writer, reader; } Trace;

static char *arena;
static uint8_t *live; /* for each byte of the arena, whether an array holds it */
static Trace *traces; /* for each word of it */
static size_t arena_bytes, arena_end;
static uint32_t now, launch_began, block_began;
static int me, place[MOST_THREADS][3], block[3], block_size[3], grid[3];
char emu_error[512];

static void *map(size_t nbytes) {
    void *found = mmap(0, nbytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return found == MAP_FAILED ? 0 : found;
}

int emu_begin(size_t nbytes) {
    arena_bytes = nbytes;
    arena = map(nbytes);
    live = map(nbytes);
    traces = map(nbytes / WORD * sizeof(Trace));
    return arena && live && traces;
}

/* Return memory between gaps that no array holds, at a multiple of 512; 0 if there is no more. */
void *emu_reserve(size_t nbytes) {
    size_t first = (arena_end + 512 + 511) & ~(size_t)511;
    if (first + nbytes + 512 > arena_bytes)
        return 0;
    arena_end = first + nbytes;
    return arena + first;
}

void emu_hold(char *address, size_t nbytes) {
    memset(address, 0xFF, nbytes); /* nan, and -1 */
    memset(live + (address - arena), 1, nbytes);
}

void emu_let_go(char *address, size_t nbytes) {
    memset(address, 0xFF, nbytes);
    memset(live + (address - arena), 0, nbytes);
}

static void report(const char *what, const char *address, long nbytes) {
    if (emu_error[0])
        return;
    int n = snprintf(emu_error, sizeof emu_error, "thread (%d, %d, %d) of block (%d, %d, %d) %s", place[me][0],
                     place[me][1], place[me][2], block[0], block[1], block[2], what);
    if (address) {
        long at = address - arena, after = 0;
        while (after < 512 && after < at && !live[at - after - 1])
            after++;
        n += snprintf(emu_error + n, sizeof emu_error - n, ": %ld bytes", nbytes);
        if (!live[at] && after < 512)
            snprintf(emu_error + n, sizeof emu_error - n, ", %ld behind the end of an array", after);
        else if (!live[at])
            snprintf(emu_error + n, sizeof emu_error - n, ", far from any array");
    }
}

static int touched(const char *address, long nbytes, long align, const char *outside, const char *crooked) {
    size_t at = address - arena;
    if (at >= arena_bytes)
        return 0; /* a thread's own memory, or constants */
    if (!live[at] || !live[at + nbytes - 1])
        report(outside, address, nbytes);
    if (at % align)
        report(crooked, address, nbytes);
    return nbytes >= WORD; /* smaller elements share a word */
}

void emu_read(const char *address, long nbytes, long align) {
    if (!touched(address, nbytes, align, "reads what no array holds", "reads at no multiple of its bytes"))
        return;
    for (Trace *t = traces + (address - arena) / WORD, *end = t + nbytes / WORD; t < end; t++) {
        if (t->wrote >= launch_began && ((t->wrote == now && t->writer != me) || t->wrote < block_began))
            report("reads what another thread writes, with no barrier between them", address, nbytes);
        if (t->read >= launch_began && (t->read < block_began || t->reader == OTHER_BLOCK))
            t->reader = OTHER_BLOCK;
        else
            t->reader = t->read == now && t->reader != me ? MANY : me;
        t->read = now;
    }
}

static char before[64]; /* what lay where something is being written */

void emu_write(const char *address, long nbytes, long align) {
    if (!touched(address, nbytes, align, "writes where no array lies", "writes at no multiple of its bytes"))
        return;
    memcpy(before, address, nbytes);
}

/* After the instruction. To write what is there already does no harm, whoever else does. */
void emu_wrote(const char *address, long nbytes) {
    if ((size_t)(address - arena) >= arena_bytes || nbytes < WORD || !memcmp(before, address, nbytes))
        return;
    for (Trace *t = traces + (address - arena) / WORD, *end = t + nbytes / WORD; t < end; t++) {
        if (t->wrote >= launch_began && ((t->wrote == now && t->writer != me) || t->wrote < block_began))
            report("writes what another thread writes, with no barrier between them", address, nbytes);
        if (t->read >= launch_began && ((t->read == now && t->reader != me) || t->read < block_began ||
                                        t->reader == OTHER_BLOCK))
            report("writes what another thread reads, with no barrier between them", address, nbytes);
        t->wrote = now;
        t->writer = me;
    }
}

/* Atomic operations may meet. */
void emu_atomic(const char *address, long nbytes, long align) {
    touched(address, nbytes, align, "changes what no array holds", "changes at no multiple of its bytes");
}

/* --- threads ------------------------------------------------------------------------------------------ */

enum { RUNS, AT_BARRIER, AT_WARP, ENDED };

/* A fiber begins by setcontext, once, and is left and gone on with by longjmp, which asks nothing of the system. */
static jmp_buf scheduler, fibers[MOST_THREADS];
static char *stacks;
static int begun[MOST_THREADS];
static int state[MOST_THREADS];
static void *barrier[MOST_THREADS];    /* where each waits */
static uint32_t mask_of[MOST_THREADS]; /* which lanes a thread waits for */
static uint32_t lane_value[MOST_THREADS];
static int vote[MOST_THREADS];
static void (*kernel)(void *);
static void *arguments;
static uint64_t dice;

static void wait_as(int how) {
    state[me] = how;
    if (!_setjmp(fibers[me]))
        _longjmp(scheduler, 1);
}

void emu_barrier(void) {
    barrier[me] = __builtin_return_address(0);
    wait_as(AT_BARRIER);
}

/* The three barriers that tell what the threads said. */
static int counted(int said, void *where) {
    int count = 0, n = block_size[0] * block_size[1] * block_size[2];
    vote[me] = said != 0;
    barrier[me] = where;
    wait_as(AT_BARRIER);
    for (int i = 0; i < n; i++)
        count += vote[i];
    wait_as(AT_BARRIER); /* before anybody votes anew */
    return count;
}
int emu_barrier_count(int said) { return counted(said, __builtin_return_address(0)); }
int emu_barrier_or(int said) { return counted(said, __builtin_return_address(0)) > 0; }
int emu_barrier_and(int said) {
    return counted(said, __builtin_return_address(0)) == block_size[0] * block_size[1] * block_size[2];
}

void emu_wait_for_warp(int mask) {
    mask_of[me] = mask;
    wait_as(AT_WARP);
}

/* The value of another lane: mode 0 by its number, 1 of b lanes before, 2 of b lanes behind, 3 by xor. */
int emu_shuffle(int mask, int mode, int value, int b, int clamp) {
    int lane = me % WARP, first = me - lane, source = lane, inside = 1;
    int segment = clamp >> 8 & 31, low = lane & segment, most = low | (clamp & 31 & ~segment);
    lane_value[me] = value;
    emu_wait_for_warp(mask);
    if (mode == 0)
        source = low | (b & ~segment & 31);
    else if (mode == 1)
        source = lane - b, inside = source >= most;
    else if (mode == 2)
        source = lane + b, inside = source <= most;
    else
        source = lane ^ b, inside = source <= most;
    if (inside && mode == 0)
        inside = source <= most;
    int found = inside ? (int)lane_value[first + source] : value;
    if (inside && !((uint32_t)mask >> source & 1))
        report("takes a value of a lane that is not in the mask", 0, 0);
    emu_wait_for_warp(mask);
    return found;
}

/* Which lanes say yes, as bits. */
int emu_ballot(int mask, int said) {
    int first = me - me % WARP, found = 0;
    lane_value[me] = said != 0;
    emu_wait_for_warp(mask);
    for (int lane = 0; lane < WARP; lane++)
        if ((uint32_t)mask >> lane & 1 && lane_value[first + lane])
            found |= (int)(1u << lane);
    emu_wait_for_warp(mask);
    return found;
}

/* PTX's mma.m16n8k8 of .tf32: the threads of a warp give and take what the ISA says under "Matrix Fragments for
   mma.m16n8k8". Returns c0; emu_matrix_rest(1) and so on the others, to be asked for at once. The lowest 13 bits
   of operands are not looked at. */
static float given[MOST_THREADS][6], taken[4];
float emu_mma(int a0, int a1, int a2, int a3, int b0, int b1, float c0, float c1, float c2, float c3) {
    int own[6] = {a0, a1, a2, a3, b0, b1}, lane = me % WARP, first = me - lane;
    float sums[4] = {c0, c1, c2, c3};
    for (int i = 0; i < 6; i++) {
        own[i] &= ~0x1FFF;
        memcpy(&given[me][i], &own[i], sizeof(float));
    }
    emu_wait_for_warp(-1);
    for (int i = 0; i < 4; i++) {
        int row = lane / 4 + i / 2 * 8, column = lane % 4 * 2 + i % 2;
        for (int k = 0; k < 8; k++)
            sums[i] += given[first + row % 8 * 4 + k % 4][row / 8 + k / 4 * 2] *
                       given[first + column * 4 + k % 4][4 + k / 4];
    }
    emu_wait_for_warp(-1);
    memcpy(taken, sums, sizeof taken);
    return taken[0];
}
float emu_matrix_rest(int i) { return taken[i]; }

/* PTX's cvt.rna.tf32.f32: to nearest, halves away from zero. */
int emu_to_tf32(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (x - x == 0)
        bits = (bits + 0x1000) & ~(uint32_t)0x1FFF;
    return (int)bits;
}

static void begin(void) {
    for (;;) {
        kernel(arguments);
        wait_as(ENDED); /* for the next block */
    }
}

static void go_on(void) {
    static ucontext_t context;
    if (_setjmp(scheduler))
        return;
    if (begun[me])
        _longjmp(fibers[me], 1);
    begun[me] = 1;
    getcontext(&context);
    context.uc_stack.ss_sp = stacks + (size_t)STACK * me;
    context.uc_stack.ss_size = STACK;
    makecontext(&context, begin, 0);
    setcontext(&context);
}

/* Let threads run that wait for others of their warp, all of which have come. */
static int release_warps(int threads) {
    int released = 0;
    for (int first = 0; first < threads; first += WARP) {
        uint32_t waiting = 0;
        for (int i = first; i < first + WARP && i < threads; i++)
            waiting |= (uint32_t)(state[i] == AT_WARP) << (i - first);
        for (int i = first; i < first + WARP && i < threads; i++)
            if (state[i] == AT_WARP && (mask_of[i] & ~waiting) == 0) {
                state[i] = RUNS;
                released = 1;
            }
    }
    return released;
}

static int throw_die(int sides) {
    dice ^= dice << 13, dice ^= dice >> 7, dice ^= dice << 17;
    return dice % sides;
}

/* Run the block until its threads wait at one barrier or have ended; return how many wait. */
static int run_to_barrier(int threads, const int *order) {
    now++;
    do {
        for (int k = 0; k < threads; k++)
            if (state[order[k]] == RUNS) {
                me = order[k];
                go_on();
            }
    } while (release_warps(threads));
    int waiting = 0, ended = 0;
    void *where = 0;
    for (int i = 0; i < threads; i++) {
        me = i;
        if (state[i] == AT_WARP) {
            report("waits for threads of its warp that do not come", 0, 0);
            return 0;
        }
        ended += state[i] == ENDED;
        if (state[i] == AT_BARRIER) {
            waiting++;
            if (where && barrier[i] != where)
                report("waits at another barrier than others of its block", 0, 0);
            where = barrier[i];
            state[i] = RUNS;
        }
    }
    if (waiting && ended)
        report("of those that ended, or another, while others of the block wait at a barrier", 0, 0);
    return emu_error[0] ? 0 : waiting;
}

/* Run a kernel. shared: where its arrays of a block lie. order: 0 for thread after thread, 1 for the other way
   round, 2 for another order at each barrier. has_barriers: whether a thread cannot run in one go. */
void emu_run(void (*entry)(void *), void *given, const int *sizes, int has_barriers, int order, char **shared,
             const long *shared_bytes, int shared_count) {
    memcpy(grid, sizes, sizeof grid);
    memcpy(block_size, sizes + 3, sizeof block_size);
    int threads = block_size[0] * block_size[1] * block_size[2], turn[MOST_THREADS];
    long blocks = (long)grid[0] * grid[1] * grid[2];
    kernel = entry;
    arguments = given;
    launch_began = now + 1;
    dice = 88172645463325252ull;
    if (!stacks)
        stacks = map((size_t)STACK * MOST_THREADS);
    for (int i = 0; i < threads; i++) {
        place[i][0] = i % block_size[0];
        place[i][1] = i / block_size[0] % block_size[1];
        place[i][2] = i / block_size[0] / block_size[1];
        turn[i] = order == 1 ? threads - 1 - i : i;
    }
    for (long n = 0; n < blocks && !emu_error[0]; n++) {
        long b = order == 1 ? blocks - 1 - n : n;
        block[0] = b % grid[0];
        block[1] = b / grid[0] % grid[1];
        block[2] = b / grid[0] / grid[1];
        block_began = ++now;
        for (int i = 0; i < shared_count; i++) { /* each block has its own */
            memset(shared[i], 0xFF, shared_bytes[i]);
            memset(traces + (shared[i] - arena) / WORD, 0, (shared_bytes[i] + WORD - 1) / WORD * sizeof(Trace));
        }
        if (!has_barriers) {
            for (int i = 0; i < threads; i++) {
                me = turn[i];
                kernel(arguments);
            }
            continue;
        }
        for (int i = 0; i < threads; i++)
            state[i] = RUNS;
        do {
            for (int i = threads - 1; order == 2 && i > 0; i--) {
                int other = throw_die(i + 1), kept = turn[i];
                turn[i] = turn[other];
                turn[other] = kept;
            }
        } while (run_to_barrier(threads, turn));
    }
    if (emu_error[0])
        memset(begun, 0, sizeof begun); /* what has not ended never will */
}

/* --- what kernels call -------------------------------------------------------------------------------- */

int emu_tid_x(void) { return place[me][0]; }
int emu_tid_y(void) { return place[me][1]; }
int emu_tid_z(void) { return place[me][2]; }
int emu_ctaid_x(void) { return block[0]; }
int emu_ctaid_y(void) { return block[1]; }
int emu_ctaid_z(void) { return block[2]; }
int emu_ntid_x(void) { return block_size[0]; }
int emu_ntid_y(void) { return block_size[1]; }
int emu_ntid_z(void) { return block_size[2]; }
int emu_nctaid_x(void) { return grid[0]; }
int emu_nctaid_y(void) { return grid[1]; }
int emu_nctaid_z(void) { return grid[2]; }
int emu_laneid(void) { return me % WARP; }
int emu_warpsize(void) { return WARP; }
void emu_fence(void) {}

int __nv_isinff(float x) { return isinf(x) != 0; }
int __nv_isinfd(double x) { return isinf(x) != 0; }
int __nv_isnanf(float x) { return isnan(x) != 0; }
int __nv_isnand(double x) { return isnan(x) != 0; }
int __nv_finitef(float x) { return isfinite(x) != 0; }
int __nv_isfinited(double x) { return isfinite(x) != 0; }
int __nv_signbitf(float x) { return signbit(x) != 0; }
int __nv_signbitd(double x) { return signbit(x) != 0; }
float __nv_rsqrtf(float x) { return 1 / sqrtf(x); }
double __nv_rsqrt(double x) { return 1 / sqrt(x); }
float __nv_powif(float x, int n) { return powf(x, n); }
double __nv_powi(double x, int n) { return pow(x, n); }
float __nv_fast_fdividef(float x, float y) { return x / y; }
int __nv_popc(int x) { return __builtin_popcount(x); }
int __nv_popcll(long x) { return __builtin_popcountll(x); }
int __nv_clz(int x) { return x ? __builtin_clz(x) : 32; }
int __nv_clzll(long x) { return x ? __builtin_clzll(x) : 64; }
int __nv_ffs(int x) { return __builtin_ffs(x); }
int __nv_ffsll(long x) { return __builtin_ffsll(x); }
int __nv_abs(int x) { return abs(x); }
long __nv_llabs(long x) { return labs(x); }
int __nv_mulhi(int x, int y) { return (int)((int64_t)x * y >> 32); }
unsigned __nv_umulhi(unsigned x, unsigned y) { return (unsigned)((uint64_t)x * y >> 32); }
unsigned long __nv_umul64hi(unsigned long x, unsigned long y) {
    return (unsigned long)((unsigned __int128)x * y >> 64);
}
