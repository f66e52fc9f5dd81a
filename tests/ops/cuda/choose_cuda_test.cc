// The card chooses the token that the CPU chooses, whatever the logits.
#include "ops/choose.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "tests/ops/choices.h"
#include "tests/ops/cuda/on_card.h"

namespace shoehorn {
namespace {

using ChooseCuda = CardTest;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

struct Problem {
  const char* name;
  std::function<float(Random&, int64_t)> logit;
};

// Few likely tokens, as language models have them; nearly flat; flat; in steps; masked.
const Problem kProblems[] = {
    {"peaked", [](Random& r, int64_t) { return -4 * std::log(r.uniform(1e-6f, 1.0f)); }},
    {"wide", [](Random& r, int64_t) { return r.uniform(-30.0f, 30.0f); }},
    {"narrow", [](Random& r, int64_t) { return r.uniform(0.0f, 1e-3f); }},
    {"flat", [](Random&, int64_t) { return 2.5f; }},
    {"steps", [](Random& r, int64_t) { return std::floor(r.uniform(0.0f, 6.0f)); }},
    {"masked", [](Random& r, int64_t i) { return i % 3 ? -kInfinity : r.uniform(-3.0f, 9.0f); }},
    {"rising", [](Random&, int64_t i) { return static_cast<float>(i) * 1e-4f; }},
};

const Choice kChoices[] = {
    make_choice(0, 0, 1, 0, 1, 0),         make_choice(1, 0, 1, 0, 2, 3),
    make_choice(0.6, 40, 1, 0, 3, 4),      make_choice(1, 0, 0.95, 0, 4, 5),
    make_choice(1.3, 0, 0.5, 0, 5, 6),     make_choice(1, 0, 1, 0.05, 6, 7),
    make_choice(0.8, 50, 0.9, 0.01, 7, 9), make_choice(100, 3000, 0.7, 0, 8, 11),
    make_choice(1e-9, 0, 0.9, 0, 9, 1),    make_choice(1, 1, 1, 0, 10, 2),
    make_choice(2, 0, 1e-9, 0, 11, 2),     make_choice(1, 1000000, 0.999, 0, 12, 5),
};

TEST_F(ChooseCuda, IsTheCpusChoice) {
  Random random(77);
  constexpr auto kRows = static_cast<int64_t>(std::size(kChoices));
  for (const int64_t columns : {1, 31, 1000, 1025, 32256, 102400, 151937}) {
    for (const Problem& problem : kProblems) {
      const int64_t stride = columns + 5;
      std::vector<float> logits(static_cast<size_t>(kRows * stride));
      for (int64_t i = 0; i < kRows * stride; ++i) {
        logits[static_cast<size_t>(i)] = problem.logit(random, i % stride);
      }
      std::vector<Choice> choices(std::begin(kChoices), std::end(kChoices));
      const uint64_t round = random.below(1000);
      for (Choice& choice : choices) choice.draw += round;
      const OnCard<float> card(logits);
      const OnCard<Choice> choices_card(choices);
      const OnCard<int32_t> tokens(kRows), sent(2 * kRows);
      choose(*gpu, Tensor::matrix(card.data(), kRows, columns, stride),
             {.choices = choices_card.data(), .tokens = tokens.data(), .sent_tokens = sent.data()});
      const std::vector<int32_t> found = tokens.read(), copies = sent.read();
      const std::vector<Choice> after = choices_card.read();
      std::vector<Candidate> scratch;
      for (size_t i = 0; i < choices.size(); ++i) {
        const std::span<const float> row = {logits.data() + static_cast<int64_t>(i) * stride,
                                            static_cast<size_t>(columns)};
        EXPECT_EQ(found[i], choose(row, choices[i], scratch))
            << problem.name << ", " << columns << " columns, choice " << i;
        EXPECT_EQ(copies[choices[i].draw % 2 * kRows + i], found[i]);
        EXPECT_EQ(after[i].draw, choices[i].draw + 1);
      }
    }
  }
}

TEST_F(ChooseCuda, NeverChoosesMaskedTokens) {
  constexpr int64_t kColumns = 5000;
  std::vector<float> logits(2 * kColumns, 1.0f);
  std::vector<int32_t> masked;
  for (int32_t i = 0; i < kColumns; ++i) {
    if (i != 4321) masked.push_back(i);
  }
  const OnCard<float> card(logits);
  const OnCard<int32_t> masked_card(masked), tokens(2);
  const OnCard<Choice> choices(
      std::vector<Choice>{make_choice(0, 0, 1, 0, 1, 0), make_choice(5, 0, 1, 0, 1, 0)});
  choose(*gpu, Tensor::matrix(card.data(), 2, kColumns),
         {.masked = masked_card.data(),
          .masked_count = static_cast<int64_t>(masked.size()),
          .choices = choices.data(),
          .tokens = tokens.data()});
  EXPECT_EQ(tokens.read(), (std::vector<int32_t>{4321, 4321}));
}

TEST_F(ChooseCuda, RowsWithoutAProperTop) {
  const float nan = std::nanf("");
  const std::vector<float> logits = {nan, nan, nan,  -kInfinity, -kInfinity, -kInfinity,
                                     1,   nan, 3.5f, 0,          kInfinity,  kInfinity};
  const OnCard<float> card(logits);
  const OnCard<int32_t> tokens(4);
  const OnCard<Choice> choices(std::vector<Choice>(4, make_choice(1, 2, 0.5, 0, 1, 0)));
  choose(*gpu, Tensor::matrix(card.data(), 4, 3),
         {.choices = choices.data(), .tokens = tokens.data()});
  EXPECT_EQ(tokens.read(), (std::vector<int32_t>{0, 0, 2, 1}));
}

}  // namespace
}  // namespace shoehorn
