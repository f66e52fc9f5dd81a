// A fixed set of threads for short parallel regions (microseconds), such as the ops of one decode
// step.
//
//   ThreadPool pool(default_thread_count(topology), topology.usable_processors);
//   pool.run([&](int thread) { ... });                       // once on each thread, then a barrier
//   pool.parallel_for(tiles, [&](int64_t begin, int64_t end) { ... });
//
// The calling thread takes part as thread 0. Workers spin briefly for the next region, then sleep,
// so an idle program uses no CPU. A cgroup quota below the thread count shortens the spinning.
// Regions do not nest. One caller at a time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>

namespace shoehorn {

class ThreadPool {
 public:
  // Worker i = 1..thread_count-1 is pinned to processors[i] if the list is that long. The caller
  // is thread 0 and never pinned: it is not ours, and the scheduler keeps it on the processor that
  // is left. thread_count >= 1; if the system refuses so many threads, a warning, and fewer.
  explicit ThreadPool(int thread_count, std::span<const int> processors = {});
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int thread_count() const;

  // Calls body(thread) on each thread 0..thread_count-1 and returns when all have returned. A
  // template so that no std::function is built on the hot path.
  template <typename Body>
  void run(const Body& body) {
    run_erased(
        [](const void* context, int thread) { (*static_cast<const Body*>(context))(thread); },
        &body);
  }

  // Splits [0, count) into one contiguous range a thread, ends rounded to `grain` items, the same
  // split for the same count every time (so results do not depend on timing). Empty ranges are not
  // called.
  template <typename Body>
  void parallel_for(int64_t count, const Body& body, int64_t grain = 1) {
    const int64_t grains = (count + grain - 1) / grain;
    const int threads = thread_count();
    if (grains <= 1 || threads == 1) {
      if (count > 0) body(int64_t{0}, count);
      return;
    }
    run([&](int thread) {
      const int64_t begin = grains * thread / threads * grain;
      const int64_t end = std::min(count, grains * (thread + 1) / threads * grain);
      if (begin < end) body(begin, end);
    });
  }

 private:
  using Erased = void (*)(const void* context, int thread);
  void run_erased(Erased function, const void* context);
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace shoehorn
