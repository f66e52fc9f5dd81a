// Records a serving trace: our own scheduler and paged cache, driven by requests whose lengths and
// arrivals follow published statistics. No model is computed: a step advances every row that the
// scheduler chose, and takes the time that such a step takes for DeepSeek-LLM-67B in 16 GiB.
//
//   record_serving_trace > bench/traces/chat-67b.txt
//
// Requests: three of four as in ShareGPT's conversations (Kwon et al. 2023, section 6.1: 161.31
// tokens in and 337.99 out on the average), one of four as in Azure's (Patel et al. 2024, figure 3:
// medians of 1020 in and 129 out). The papers plot the distributions and print no deviation; both
// lengths are log-normal here with a sigma of 1. Arrivals are a Poisson process, as in the first
// paper. A client allows as many new tokens as the next power of two above what will come.
//
// Beside the cache and the rows of prompts, neuron groups come and go: after 64 steps with a
// quarter of the cache free and nobody waiting, eight groups at a time move in, every third eight
// at 3.5 bits instead of 4.5; they leave, the last first, as soon as a request waits. They are
// charged to the cache's pages, so that all together never exceed it.
#include <cmath>
#include <cstdio>
#include <map>

#include "base/random.h"
#include "bench/memory/serving_trace.h"
#include "engine/scheduler.h"

namespace shoehorn {
namespace {

constexpr uint64_t kSeed = 67;
constexpr int64_t kRequests = 600;
constexpr int64_t kContext = 4096;
constexpr int64_t kCapacityTokens = 16384;  // 5.9 GiB of the 67B's cache
constexpr int64_t kMaxRows = 512;
constexpr double kRequestsPerSecond = 0.3;  // about what the cache lets through
constexpr double kStepSeconds = 0.19;       // a token for everyone
constexpr double kRowSeconds = 1.0 / 1200;  // and a prompt's rows
constexpr int64_t kQuietSteps = 64;
constexpr int64_t kGroupsAtATime = 8;

double normal(Random& random) {
  return std::sqrt(-2 * std::log(1 - random.uniform())) *
         std::cos(2 * 3.14159265358979323846 * random.uniform());
}

int64_t log_normal(Random& random, double median) {
  return std::max<int64_t>(4, std::llround(median * std::exp(normal(random))));
}

struct Arrival {
  double seconds = 0;
  int64_t prompt = 0;
  int64_t answer = 0;
  int64_t allowed = 0;
};

std::vector<Arrival> make_arrivals() {
  // A log-normal's mean is e^(sigma^2 / 2) times its median.
  const double mean_to_median = std::exp(-0.5);
  Random random(kSeed);
  std::vector<Arrival> arrivals;
  double seconds = 0;
  for (int64_t i = 0; i < kRequests; ++i) {
    seconds -= std::log(1 - random.uniform()) / kRequestsPerSecond;
    const bool short_prompt = random.uniform() < 0.75;
    Arrival arrival = {.seconds = seconds};
    arrival.prompt = log_normal(random, short_prompt ? 161.31 * mean_to_median : 1020);
    arrival.answer = log_normal(random, short_prompt ? 337.99 * mean_to_median : 129);
    arrival.prompt = std::min<int64_t>(arrival.prompt, kContext / 2);
    arrival.answer = std::min<int64_t>(arrival.answer, kContext / 2);
    arrival.allowed = 64;
    while (arrival.allowed < arrival.answer) arrival.allowed *= 2;
    arrivals.push_back(arrival);
  }
  return arrivals;
}

// The engine's loop around scheduler and cache, and what it asks for.
class Recorder {
 public:
  Recorder() {
    ModelConfig tiny;  // pages are counted, never touched
    tiny.num_hidden_layers = 1;
    tiny.num_key_value_heads = 1;
    tiny.head_dim = 1;
    kv_ = PagedKv(tiny, {.capacity_tokens = kCapacityTokens}, nullptr);
  }

  void run() {
    const std::vector<Arrival> arrivals = make_arrivals();
    size_t arrived = 0;
    double seconds = 0;
    while (arrived < arrivals.size() || !live_.empty()) {
      for (; arrived < arrivals.size() && arrivals[arrived].seconds <= seconds; ++arrived) {
        add(arrivals[arrived]);
      }
      make_room();
      scheduler_.next(kv_, batch_);
      note_admitted();
      seconds += kStepSeconds;
      for (const Batch::Part& part : batch_.parts) {
        if (part.row_count > 1) seconds += kRowSeconds * static_cast<double>(part.row_count);
        advance(part);
      }
      release_finished();
      use_idle_pages();
      ++step_;
    }
    while (!groups_.empty()) move_groups_out();
  }

 private:
  struct Live {
    std::unique_ptr<Sequence> sequence;
    int64_t answer = 0;
    int64_t kv = 0, work = 0;  // blocks; 0: none
  };
  struct Groups {
    std::vector<int64_t> blocks;
    PageTable pages;
  };

  void add(const Arrival& arrival) {
    Request request = {.prompt = std::vector<int32_t>(static_cast<size_t>(arrival.prompt)),
                       .max_new_tokens = arrival.allowed};
    Live live = {.sequence = std::make_unique<Sequence>(next_id_, std::move(request), 1),
                 .answer = arrival.answer};
    scheduler_.add(live.sequence.get());
    live_.emplace(next_id_++, std::move(live));
  }

  int64_t take(TraceKind kind, int64_t amount) {
    print({.step = step_, .id = next_block_, .kind = kind, .amount = amount});
    return next_block_++;
  }
  void give_back(int64_t block) { print({.step = step_, .id = block, .takes = false}); }
  static void print(const TraceEvent& event) { std::fputs(format_event(event).c_str(), stdout); }

  bool somebody_waits() const {
    for (const auto& [id, live] : live_) {
      if (!live.sequence->admitted) return true;
    }
    return false;
  }
  int64_t first_waiting_tokens() const {
    for (const auto& [id, live] : live_) {
      if (!live.sequence->admitted) return live.sequence->most_tokens();
    }
    return 0;
  }

  void make_room() {
    const int64_t pages = (first_waiting_tokens() + kv_.page_tokens() - 1) / kv_.page_tokens();
    while (kv_.free_page_count() < pages && !groups_.empty()) move_groups_out();
  }

  void note_admitted() {
    for (auto& [id, live] : live_) {
      if (!live.sequence->admitted || live.kv != 0) continue;
      live.kv = take(TraceKind::kv, live.sequence->most_tokens());
      live.work = take(TraceKind::work, std::min(live.sequence->pending(), kMaxRows));
    }
  }

  void advance(const Batch::Part& part) {
    Sequence& sequence = *part.sequence;
    sequence.cached += part.row_count;
    if (sequence.pending() > 0) return;
    Live& live = live_.at(sequence.id);
    if (live.work != 0) give_back(std::exchange(live.work, 0));
    sequence.tokens.push_back(0);
    if (++sequence.new_tokens == live.answer) sequence.finish = FinishReason::stop_token;
  }

  void release_finished() {
    for (auto at = live_.begin(); at != live_.end();) {
      Live& live = at->second;
      if (live.sequence->finish == FinishReason::none) {
        ++at;
        continue;
      }
      scheduler_.remove(live.sequence.get());
      kv_.truncate(live.sequence->pages, 0);
      give_back(live.kv);
      at = live_.erase(at);
    }
  }

  void use_idle_pages() {
    const bool quiet = !somebody_waits() && kv_.free_page_count() * 4 >= kv_.page_count();
    quiet_steps_ = quiet ? quiet_steps_ + 1 : 0;
    if (quiet_steps_ < kQuietSteps) return;
    quiet_steps_ = 0;
    Groups groups;
    const int64_t bits = ++moves_ % 3 == 0 ? 35 : 45;
    const TraceShape shape = shape_of_67b();
    const uint64_t bytes = kGroupsAtATime * shape.bytes(TraceKind::group, bits);
    const auto pages = static_cast<int64_t>((bytes + shape.page_bytes - 1) / shape.page_bytes);
    if (!kv_.reserve(groups.pages, pages * kv_.page_tokens())) return;
    for (int64_t i = 0; i < kGroupsAtATime; ++i) {
      groups.blocks.push_back(take(TraceKind::group, bits));
    }
    groups_.push_back(std::move(groups));
  }

  void move_groups_out() {
    for (const int64_t block : groups_.back().blocks) give_back(block);
    kv_.truncate(groups_.back().pages, 0);
    groups_.pop_back();
  }

  PagedKv kv_;
  Scheduler scheduler_{kMaxRows};
  Batch batch_;
  std::map<int64_t, Live> live_;  // in order of arrival
  std::vector<Groups> groups_;
  int64_t next_id_ = 1, next_block_ = 1, step_ = 0, quiet_steps_ = 0, moves_ = 0;
};

}  // namespace
}  // namespace shoehorn

int main() {
  std::puts(
      "# What serving DeepSeek-LLM-67B asks of the card's memory, recorded from Shoehorn's "
      "scheduler\n"
      "# and paged cache (bench/memory/record_serving_trace.cc, which says how; no model was "
      "run).\n"
      "# 600 requests, Poisson arrivals of 0.3/s, log-normal lengths with the means of ShareGPT "
      "(Kwon\n"
      "# et al. 2023) for three of four and the medians of Azure's conversations (Patel et al. "
      "2024)\n"
      "# for one of four; a cache of 16384 tokens; groups of neurons move in when it is idle. Seed "
      "67.\n"
      "# Format: bench/memory/serving_trace.h.");
  shoehorn::Recorder().run();
  return 0;
}
