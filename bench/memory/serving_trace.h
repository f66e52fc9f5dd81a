// A serving trace: what a server asks of its card's memory while requests come and go. Text, one
// event a line, with times in steps of the scheduler:
//
//   # comment
//   STEP + ID kv TOKENS          a sequence is admitted; its cache, until it ends
//   STEP + ID work ROWS          its prompt is computed, so many rows at a time; until it is
//   STEP + ID group BITS/10      a neuron group moves to VRAM that the cache leaves free
//   STEP - ID                    the block is given back
//
// Amounts become bytes by a model's shape, so that one trace serves any model.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"

namespace shoehorn {

enum class TraceKind : uint8_t { kv, work, group };

struct TraceEvent {
  int64_t step = 0;
  int64_t id = 0;
  bool takes = true;
  TraceKind kind = TraceKind::kv;  // of a block that is taken
  int64_t amount = 0;              // likewise
};

struct ServingTrace {
  std::vector<TraceEvent> events;
};

// Errors: a line that is no event, an id taken twice or given back without being taken.
Result<ServingTrace> parse_trace(const std::string& text, const std::string& name);
std::string format_event(const TraceEvent& event);

// What an amount is in bytes.
struct TraceShape {
  uint64_t page_bytes = 0;  // of the KV cache, all layers
  int64_t page_tokens = 0;
  int64_t hidden_size = 0;
  int64_t group_neurons = 0;

  uint64_t bytes(TraceKind kind, int64_t amount) const;
};

// DeepSeek-LLM-67B: 95 layers, h 8192, 8 KV heads of 128, cache in f16, groups of 512 neurons.
TraceShape shape_of_67b();

// The largest sum of bytes that live at a time.
uint64_t peak_live_bytes(const ServingTrace& trace, const TraceShape& shape);

}  // namespace shoehorn
