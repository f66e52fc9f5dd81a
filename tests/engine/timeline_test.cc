#include "engine/timeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tests/engine/tiny_model.h"

namespace shoehorn {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::Not;

TimelineStep two_layers() {
  TimelineStep step = {.title = "a <step> & \"more\"\n", .seconds = 0.010, .spans = {}};
  step.spans = {
      {TimelineLane::card, "attention", 0, 0.000, 0.002, 0},
      {TimelineLane::card, "feed-forward", 0, 0.004, 0.006, 0},
      {TimelineLane::cpu, "feed-forward", 0, 0.001, 0.006, 0},
      {TimelineLane::copies, "feed-forward", 1, 0.000, 0.004, 1 << 20},
      {TimelineLane::copies, "attention", 1, 0.003, 0.005, 1 << 10},  // of another stream
  };
  sort_and_clip(step);
  return step;
}

TEST(Timeline, BusyTimeCountsOnce) {
  const TimelineStep step = two_layers();
  EXPECT_DOUBLE_EQ(busy_share(step, TimelineLane::card), 0.4);
  EXPECT_DOUBLE_EQ(busy_share(step, TimelineLane::cpu), 0.5);
  EXPECT_DOUBLE_EQ(busy_share(step, TimelineLane::copies), 0.5);
  EXPECT_EQ(busy_share({}, TimelineLane::card), 0);
}

TEST(Timeline, IsClippedToTheStep) {
  TimelineStep step = {.title = "", .seconds = 1, .spans = {}};
  step.spans = {{TimelineLane::card, "late", -1, 0.5, 3, 0},
                {TimelineLane::card, "early", -1, -1, 0.25, 0},
                {TimelineLane::card, "after", -1, 2, 3, 0},
                {TimelineLane::card, "backwards", -1, 0.4, 0.3, 0}};
  sort_and_clip(step);
  ASSERT_EQ(step.spans.size(), 2u);
  EXPECT_EQ(step.spans[0].name, "early");
  EXPECT_EQ(step.spans[0].begin_s, 0);
  EXPECT_EQ(step.spans[1].end_s, 1);
}

TEST(TimelineTrace, IsWhatViewersRead) {
  const json trace = json::parse(timeline_trace({two_layers(), two_layers()}));
  int spans = 0, names = 0;
  double last_us = 0;
  int last_process = 1;
  for (const json& event : trace.at("traceEvents")) {
    if (event.at("ph") == "M") {
      names += 1;
      continue;
    }
    EXPECT_EQ(event.at("ph"), "X");
    const int process = event.at("pid");
    if (process != last_process) last_us = 0;
    last_process = process;
    EXPECT_GE(event.at("ts").get<double>(), last_us);
    last_us = event.at("ts");
    EXPECT_GT(event.at("dur").get<double>(), 0);
    spans += 1;
  }
  EXPECT_EQ(spans, 10);
  EXPECT_EQ(names, 2 * 4);
  const json first = trace["traceEvents"][4];
  EXPECT_EQ(first["name"], "attention");
  EXPECT_EQ(first["args"]["layer"], 0);
  EXPECT_DOUBLE_EQ(first["dur"], 2000);
  EXPECT_EQ(trace["traceEvents"][0]["args"]["name"], "a <step> & \"more\"\n");
}

TEST(TimelineTrace, SurvivesAnyNameAndNoSpans) {
  TimelineStep step = {.title = "\xff\x01\"", .seconds = 1, .spans = {}};
  step.spans = {{TimelineLane::cpu, "\xc3", -1, 0, 1, 0}};
  EXPECT_FALSE(json::parse(timeline_trace({step}), nullptr, false).is_discarded());
  EXPECT_TRUE(json::parse(timeline_trace({})).at("traceEvents").empty());
  EXPECT_EQ(json::parse(timeline_trace({TimelineStep{}})).at("traceEvents").size(), 4u);
}

TEST(TimelineSvg, ShowsLanesAxisAndBusyTime) {
  const std::string svg = timeline_svg({two_layers()});
  EXPECT_THAT(svg, HasSubstr("a &lt;step&gt; &amp; &quot;more&quot; : 10 ms"));
  EXPECT_THAT(svg, Not(HasSubstr("<step>")));
  EXPECT_THAT(svg, HasSubstr(">card, 40 % busy<"));
  EXPECT_THAT(svg, HasSubstr(">CPU, 50 % busy<"));
  EXPECT_THAT(svg, HasSubstr(">copies to the card, 50 % busy<"));
  EXPECT_THAT(svg, HasSubstr(">5 ms<"));
  EXPECT_THAT(svg, HasSubstr("<title>feed-forward, layer 1, 4 ms, 1.00 MiB"));
  EXPECT_TRUE(svg.ends_with("</svg>\n"));
}

TEST(TimelineSvg, DrawsWhatIsThere) {
  for (const TimelineStep& step : {TimelineStep{}, TimelineStep{.title = "t", .seconds = 1e-9}}) {
    const std::string svg = timeline_svg({step});
    EXPECT_TRUE(svg.starts_with("<svg "));
    EXPECT_THAT(svg, Not(HasSubstr("nan")));
    EXPECT_THAT(svg, Not(HasSubstr("inf")));
  }
  EXPECT_TRUE(timeline_svg({}).ends_with("</svg>\n"));
  // Thousands of spans within a pixel are drawn as few.
  TimelineStep crowded = {.title = "crowded", .seconds = 1, .spans = {}};
  for (int i = 0; i < 100000; ++i) {
    crowded.spans.push_back(
        {TimelineLane::card, "attention", i % 90, i * 1e-5, i * 1e-5 + 9e-6, 0});
  }
  EXPECT_LT(timeline_svg({crowded}).size(), 2000000u);
}

TEST(CpuSpan, RecordsNothingForNobody) {
  { const CpuSpan span(nullptr, "nothing", 0); }
  SpanRecorder recorder;
  { const CpuSpan span(&recorder, "something", 3); }
  const TimelineStep step = recorder.take();
  ASSERT_EQ(step.spans.size(), 1u);
  EXPECT_EQ(step.spans[0].layer, 3);
  EXPECT_LE(step.spans[0].end_s, step.seconds);
}

}  // namespace
}  // namespace shoehorn
