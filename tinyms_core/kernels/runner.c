/* Runs the passes of a kernel over its chunks on threads that wait for work. A thread takes the next few chunks when it
   is done with some, so that one that the system holds up delays nobody. Which thread does a chunk changes no result. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>

typedef void (*pass_function)(int64_t begin, int64_t end, int64_t *frame);
typedef void (*between_function)(int64_t *frame);

/* Takes of each thread at least, and chunks of a take at most: some chunks in a row use memory better than single ones. */
enum { TAKES = 16, CHUNKS = 4 };
/* Looks, of some nanoseconds each, before a thread sleeps: the next pass comes soon, the next step does not. */
enum { LOOKS = 512 };

static struct {
  pthread_mutex_t lock;
  pthread_cond_t work, done;
  int64_t started; /* threads */
  int64_t seats;   /* how many of them may still join in */
  atomic_uint_fast64_t turn;
  atomic_int_fast64_t busy;
  atomic_int_fast64_t next;
  int64_t last, take;
  pass_function pass;
  int64_t *frame;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .work = PTHREAD_COND_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};

/* Held by the caller whom the threads work for. */
static pthread_mutex_t owner = PTHREAD_MUTEX_INITIALIZER;

static void pause_briefly(void) {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static void take_chunks(void) {
  for (;;) {
    int64_t begin = atomic_fetch_add(&pool.next, pool.take);
    if (begin >= pool.last) return;
    int64_t end = begin + pool.take;
    pool.pass(begin, end < pool.last ? end : pool.last, pool.frame);
  }
}

static void *wait_for_work(void *unused) {
  uint_fast64_t seen = 0;
  (void)unused;
  for (;;) {
    for (int look = 0; look < LOOKS && atomic_load(&pool.turn) == seen; look++) pause_briefly();
    pthread_mutex_lock(&pool.lock);
    while (atomic_load(&pool.turn) == seen) pthread_cond_wait(&pool.work, &pool.lock);
    seen = atomic_load(&pool.turn);
    if (pool.seats > 0) {
      pool.seats--;
      atomic_fetch_add(&pool.busy, 1);
      pthread_mutex_unlock(&pool.lock);
      take_chunks();
      pthread_mutex_lock(&pool.lock);
      if (atomic_fetch_sub(&pool.busy, 1) == 1) pthread_cond_signal(&pool.done);
    }
    pthread_mutex_unlock(&pool.lock);
  }
  return NULL;
}

/* Signals are for the threads of the program. */
static void start_threads(int64_t wanted) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  for (pthread_t thread; pool.started < wanted; pool.started++) {
    if (pthread_create(&thread, NULL, wait_for_work, NULL)) break;
    pthread_detach(thread);
  }
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void run_together(pass_function pass, int64_t *frame, int64_t first, int64_t last, int64_t threads) {
  int64_t take = (last - first) / (threads * TAKES);
  pthread_mutex_lock(&pool.lock);
  start_threads(threads - 1);
  pool.pass = pass;
  pool.frame = frame;
  pool.last = last;
  pool.take = take < 1 ? 1 : take > CHUNKS ? CHUNKS : take;
  atomic_store(&pool.next, first);
  pool.seats = threads - 1;
  atomic_fetch_add(&pool.turn, 1);
  pthread_cond_broadcast(&pool.work);
  pthread_mutex_unlock(&pool.lock);
  take_chunks();
  for (int look = 0; look < LOOKS && atomic_load(&pool.busy); look++) pause_briefly();
  pthread_mutex_lock(&pool.lock);
  /* Who has not come by now need not come. */
  pool.seats = 0;
  while (atomic_load(&pool.busy)) pthread_cond_wait(&pool.done, &pool.lock);
  pthread_mutex_unlock(&pool.lock);
}

/* Do `stages` passes over the chunks first .. last, and `between` after each of the first `joins` of them. A second
   caller at the same time works alone. */
void tinyms_run(const pass_function *passes, int64_t stages, between_function between, int64_t joins, int64_t *frame,
                int64_t first, int64_t last, int64_t threads) {
  int together = threads > 1 && last - first > 1 && pthread_mutex_trylock(&owner) == 0;
  for (int64_t stage = 0; stage < stages; stage++) {
    if (together)
      run_together(passes[stage], frame, first, last, threads);
    else
      passes[stage](first, last, frame);
    if (stage < joins) between(frame);
  }
  if (together) pthread_mutex_unlock(&owner);
}

/* A forked child has none of the threads, and whoever held a lock is gone. */
static void begin_anew(void) {
  pthread_mutex_init(&owner, NULL);
  pthread_mutex_init(&pool.lock, NULL);
  pthread_cond_init(&pool.work, NULL);
  pthread_cond_init(&pool.done, NULL);
  pool.started = pool.seats = 0;
  atomic_store(&pool.turn, 0);
  atomic_store(&pool.busy, 0);
}

__attribute__((constructor)) static void prepare(void) { pthread_atfork(NULL, NULL, begin_anew); }
