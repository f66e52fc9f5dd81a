// A region costs one write that all workers watch (the epoch) and one counter that all of them
// decrement. Whoever waits spins first, because a sleeping thread needs 5 to 50 microseconds to
// wake up and a region often lasts less; it stops spinning when that would take a core from
// somebody who has work.
#include "base/thread_pool.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "base/check.h"
#include "base/cpu.h"
#include "base/cpu_arch.h"
#include "base/log.h"

namespace shoehorn {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kLineBytes = 64;
constexpr std::chrono::microseconds kSpin{400};  // longer than a card takes for its part of a layer
constexpr std::chrono::microseconds kSpinOversubscribed{2};
constexpr std::chrono::microseconds kYield{1000};  // the caller's, between spinning and sleeping
constexpr int kPausesPerClockRead = 32;

// Spins until done() or until the time is over; returns the last done().
template <typename Done>
bool spin_until(std::chrono::microseconds limit, const Done& done) {
  for (int i = 0; i < kPausesPerClockRead; ++i) {
    if (done()) return true;
    spin_pause();
  }
  const Clock::time_point end = Clock::now() + limit;
  do {
    for (int i = 0; i < kPausesPerClockRead; ++i) {
      if (done()) return true;
      spin_pause();
    }
  } while (Clock::now() < end);
  return done();
}

// More threads than processors to run them, or than the quota pays for: spinning then takes time
// from the threads that work.
bool is_oversubscribed(int thread_count) {
  const CpuTopology topology = read_cpu_topology();
  return thread_count > static_cast<int>(topology.usable_processors.size()) ||
         (topology.cgroup_cpu_limit > 0 && thread_count > topology.cgroup_cpu_limit);
}

void pin_to(int processor) {
  cpu_set_t* set = CPU_ALLOC(processor + 1);
  if (set == nullptr) return;
  const size_t set_bytes = CPU_ALLOC_SIZE(processor + 1);
  CPU_ZERO_S(set_bytes, set);
  CPU_SET_S(processor, set_bytes, set);
  const int error = ::pthread_setaffinity_np(::pthread_self(), set_bytes, set);
  CPU_FREE(set);
  if (error != 0) log_debug("cannot pin a thread to processor {}: error {}", processor, error);
}

}  // namespace

struct ThreadPool::State {
  // Written by the caller, watched by the workers. function and context belong to the region that
  // the epoch announces; function null means: end.
  alignas(kLineBytes) std::atomic<int32_t> epoch = 0;
  Erased function = nullptr;
  const void* context = nullptr;
  // Workers that have not finished the region.
  alignas(kLineBytes) std::atomic<int32_t> unfinished = 0;
  // Who must be woken by a system call.
  alignas(kLineBytes) std::atomic<int32_t> sleeping_workers = 0;
  std::atomic<bool> caller_sleeps = false;
  // Never written while regions run.
  alignas(kLineBytes) std::chrono::microseconds spin = kSpin;
  std::vector<std::thread> workers;
  bool in_region = false;  // the caller's own

  void announce(Erased new_function, const void* new_context);
  void await_epoch_after(int32_t seen);
  void await_workers();
  void work(int thread, int processor);
};

// The order of the two operations here and in await_epoch_after (write mine, then read the other's;
// both sequentially consistent) makes a lost wake-up impossible: either the worker sees the new
// epoch or the caller sees the sleeper.
void ThreadPool::State::announce(Erased new_function, const void* new_context) {
  function = new_function;
  context = new_context;
  epoch.fetch_add(1, std::memory_order_seq_cst);
  if (sleeping_workers.load(std::memory_order_seq_cst) > 0) epoch.notify_all();
}

void ThreadPool::State::await_epoch_after(int32_t seen) {
  const auto changed = [&] { return epoch.load(std::memory_order_acquire) != seen; };
  if (spin_until(spin, changed)) return;
  sleeping_workers.fetch_add(1, std::memory_order_seq_cst);
  while (epoch.load(std::memory_order_seq_cst) == seen) {
    epoch.wait(seen, std::memory_order_seq_cst);
  }
  sleeping_workers.fetch_sub(1, std::memory_order_relaxed);
}

void ThreadPool::State::await_workers() {
  const auto finished = [&] { return unfinished.load(std::memory_order_acquire) == 0; };
  if (spin_until(spin, finished)) return;
  const Clock::time_point end = Clock::now() + kYield;
  while (Clock::now() < end) {
    if (finished()) return;
    ::sched_yield();
  }
  caller_sleeps.store(true, std::memory_order_seq_cst);
  while (true) {
    const int32_t left = unfinished.load(std::memory_order_seq_cst);
    if (left == 0) break;
    unfinished.wait(left, std::memory_order_seq_cst);
  }
  caller_sleeps.store(false, std::memory_order_relaxed);
}

void ThreadPool::State::work(int thread, int processor) {
  ::pthread_setname_np(::pthread_self(), ("worker-" + std::to_string(thread)).c_str());
  if (processor >= 0) pin_to(processor);
  for (int32_t seen = 0;; ++seen) {
    await_epoch_after(seen);
    if (function == nullptr) return;
    function(context, thread);
    const bool last = unfinished.fetch_sub(1, std::memory_order_seq_cst) == 1;
    if (last && caller_sleeps.load(std::memory_order_seq_cst)) unfinished.notify_all();
  }
}

ThreadPool::ThreadPool(int thread_count, std::span<const int> processors)
    : state_(std::make_unique<State>()) {
  CHECK(thread_count >= 1, "thread_count {}", thread_count);
  if (is_oversubscribed(thread_count)) state_->spin = kSpinOversubscribed;
  // Workers take no signals: an interrupt belongs to the program's main thread. What a thread's own
  // access raises is its own business (base/bus_guard.h).
  sigset_t all_signals;
  sigset_t before;
  ::sigfillset(&all_signals);
  for (const int own : {SIGBUS, SIGSEGV, SIGFPE, SIGILL}) ::sigdelset(&all_signals, own);
  ::pthread_sigmask(SIG_SETMASK, &all_signals, &before);
  state_->workers.reserve(static_cast<size_t>(thread_count - 1));
  try {
    for (int thread = 1; thread < thread_count; ++thread) {
      const bool pinned = thread < static_cast<int>(processors.size());
      state_->workers.emplace_back(&State::work, state_.get(), thread,
                                   pinned ? processors[static_cast<size_t>(thread)] : -1);
    }
  } catch (const std::system_error& error) {
    log_warning("threads: expected {}, could start {} ({})", thread_count, this->thread_count(),
                error.what());
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

ThreadPool::~ThreadPool() {
  state_->announce(nullptr, nullptr);
  for (std::thread& worker : state_->workers) worker.join();
}

int ThreadPool::thread_count() const {
  return static_cast<int>(state_->workers.size()) + 1;
}

void ThreadPool::run_erased(Erased function, const void* context) {
  State& state = *state_;
  CHECK(!state.in_region, "parallel regions do not nest");
  state.in_region = true;
  if (!state.workers.empty()) {
    state.unfinished.store(static_cast<int32_t>(state.workers.size()), std::memory_order_relaxed);
    state.announce(function, context);
  }
  function(context, 0);
  if (!state.workers.empty()) state.await_workers();
  state.in_region = false;
}

}  // namespace shoehorn
