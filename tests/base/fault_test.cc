#include "base/fault.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace shoehorn {
namespace {

class Faults : public ::testing::Test {
 protected:
  ~Faults() override { EXPECT_TRUE(arm_faults("").ok()); }
  // Which of the first five calls are refused: "..x.." for the third.
  static std::string refusals(FaultPoint point) {
    std::string text;
    for (int call = 0; call < 5; ++call) text += fault(point) ? 'x' : '.';
    return text;
  }
};

TEST_F(Faults, NothingFailsUnlessArmed) {
  EXPECT_EQ(refusals(FaultPoint::pinning), ".....");
  EXPECT_EQ(fault_calls(FaultPoint::pinning), 0);
}

TEST_F(Faults, ACallOrAllFromOneOn) {
  ASSERT_TRUE(arm_faults("pinning:3,file_read:2+,disk_write:0").ok());
  EXPECT_EQ(refusals(FaultPoint::pinning), "..x..");
  EXPECT_EQ(refusals(FaultPoint::file_read), ".xxxx");
  EXPECT_EQ(refusals(FaultPoint::disk_write), ".....");
  EXPECT_EQ(refusals(FaultPoint::file_open), ".....");
  EXPECT_EQ(fault_calls(FaultPoint::disk_write), 5);
  ASSERT_TRUE(arm_faults("pinning:1").ok());  // counts anew, and nothing else is armed
  EXPECT_EQ(refusals(FaultPoint::pinning), "x....");
  EXPECT_EQ(refusals(FaultPoint::file_read), ".....");
}

TEST_F(Faults, EveryPointHasAName) {
  for (int i = 0; i < kFaultPointCount; ++i) {
    const auto point = static_cast<FaultPoint>(i);
    ASSERT_TRUE(arm_faults(fmt::format("{}:1", name(point))).ok()) << name(point);
    EXPECT_TRUE(fault(point));
  }
}

TEST_F(Faults, WhatIsNoFaultIsAnError) {
  const std::vector<const char*> texts = {"pinning",    "pinning:",   "pinning:x",
                                          "pinning:-1", "pinning:1x", "pinning:1++",
                                          "nothing:1",  ",",          ":1"};
  for (const char* text : texts) {
    const Result<void> armed = arm_faults(text);
    ASSERT_FALSE(armed.ok()) << text;
    EXPECT_TRUE(armed.error().message.starts_with("SHOEHORN_FAULT: expected")) << text;
    EXPECT_FALSE(fault(FaultPoint::pinning)) << text;
  }
}

}  // namespace
}  // namespace shoehorn
