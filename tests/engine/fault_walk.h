// Every failure of opening and running a model, one after the other: for each point and each call
// of it the run ends in an error that names what failed, or in the right tokens (a smaller plan),
// leaves nothing open, and the next run is as if nothing had been.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "base/fault.h"
#include "engine/open_model.h"

namespace shoehorn {

class FaultWalk {
 public:
  FaultWalk(std::filesystem::path path, OpenOptions options)
      : path_(std::move(path)), options_(std::move(options)) {
    options_.context = 256;
    options_.max_rows = 64;
    options_.need_tokenizer = false;
    options_.precision = Precision::full;  // another split of the work sums in another order
    options_.kv_dtype = DType::f32;
    const Result<std::vector<int32_t>> tokens = run();
    EXPECT_TRUE(tokens.ok()) << tokens.error().message;
    if (tokens.ok()) right_ = *tokens;
  }
  ~FaultWalk() { EXPECT_TRUE(arm_faults("").ok()); }

  // Errors name one of `names`, or the file. Returns how many calls there were to refuse.
  int64_t walk(FaultPoint point, const std::vector<std::string>& names) {
    EXPECT_TRUE(arm_faults(fmt::format("{}:0", name(point))).ok());
    expect_right("counting");
    const int64_t calls = fault_calls(point);
    errors_ = 0;
    for (int64_t call = 1; call <= calls; ++call) {
      refuse(fmt::format("{}:{}", name(point), call), names);
      if (::testing::Test::HasFailure()) return calls;
    }
    if (calls > 0) refuse(fmt::format("{}:1+", name(point)), names);
    EXPECT_TRUE(arm_faults("").ok());
    expect_right("afterwards");
    return calls;
  }

  int64_t errors() const { return errors_; }  // of the last walk; its other runs found a way

 private:
  static int64_t open_files() {
    return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
  }

  void refuse(const std::string& fault, const std::vector<std::string>& names) {
    SCOPED_TRACE(fault);
    EXPECT_TRUE(arm_faults(fault).ok());
    const int64_t files = open_files();
    const Result<std::vector<int32_t>> tokens = run();
    EXPECT_EQ(open_files(), files);
    if (tokens.ok()) {
      EXPECT_EQ(*tokens, right_);
      return;
    }
    ++errors_;
    const std::string& message = tokens.error().message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
    bool named = message.find(path_.string()) != std::string::npos;
    for (const std::string& one : names) named = named || message.find(one) != std::string::npos;
    EXPECT_TRUE(named) << message;
  }

  void expect_right(const char* when) {
    const Result<std::vector<int32_t>> tokens = run();
    ASSERT_TRUE(tokens.ok()) << when << ": " << tokens.error().message;
    EXPECT_EQ(*tokens, right_) << when;
  }

  Result<std::vector<int32_t>> run() {
    const OpenedModel opened = TRY(open_model(pool_, path_, options_));
    std::vector<int32_t> tokens;
    Request request = {.prompt = {1, 2, 3, 5, 8, 13}, .max_new_tokens = 6};
    request.on_token = [&](int32_t token) { return tokens.push_back(token), true; };
    TRY(opened.engine->submit(std::move(request)));
    while (!opened.engine->idle()) TRY(opened.engine->step());
    return tokens;
  }

  std::filesystem::path path_;
  OpenOptions options_;
  ThreadPool pool_{2};
  std::vector<int32_t> right_;
  int64_t errors_ = 0;
};

}  // namespace shoehorn
