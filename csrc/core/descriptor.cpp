// A descriptor is one line of key-number pairs, behind "pool:", "linear:" or "norm:" for what is not a
// convolution:
//   conv     n batch  g groups  c in channels  k out channels
//   pool     n batch  c channels  ceil 1 for ceil mode
//   linear   n rows  i in features  o out features
//   norm     n batch  c channels, and input extents or none
// and for conv and pool, outermost dimension first:
//   input d h w   kernel t r s   stride sd sh sw   dilation dd dh dw   padding pd ph pw, after qd qh qw
// d given means 3-D, else h given 2-D, else 1-D with the last name of each group. A missing inner extent
// equals the outer one of its group (h28 is 28x28). A group left out is 1 for stride (pool: the kernel) and
// dilation, 0 for padding, and the padding before for the padding after. "p2" and "q2" pad every dimension.
// Only the padding after may be negative ("q-1"): a transposed convolution's output_padding makes it so.
#include <array>
#include <limits>
#include <map>
#include <stdexcept>
#include <utility>

#include "norm_problem.hpp"
#include "problem.hpp"

namespace fastconv {
namespace {

using Names = std::array<const char*, kMaxSpatial>;
constexpr Names kInput{"d", "h", "w"};
constexpr Names kKernel{"t", "r", "s"};
constexpr Names kStride{"sd", "sh", "sw"};
constexpr Names kDilation{"dd", "dh", "dw"};
constexpr Names kPadBefore{"pd", "ph", "pw"};
constexpr Names kPadAfter{"qd", "qh", "qw"};

class Parser {
 public:
  Parser(const std::string& text, const std::string& prefix)
      : text_(text), title_("descriptor \"" + text + "\"") {
    size_t at = text.rfind(prefix, 0) == 0 ? prefix.size() : 0;
    if (prefix != "conv:" && at == 0) fail("does not begin with \"" + prefix + "\"");
    if (at == text.size()) fail("has no keys");
    while (at < text.size()) at = read_pair(at);
  }

  const char* title() const { return title_.c_str(); }

  [[noreturn]] void fail(const std::string& what) const { throw std::invalid_argument(title_ + " " + what); }

  bool has(const char* key) const { return values_.count(key) != 0; }

  int64_t take(const char* key) {
    const auto found = values_.find(key);
    if (found == values_.end()) fail(std::string("lacks key \"") + key + "\"");
    const int64_t value = found->second;
    values_.erase(found);
    return value;
  }
  int64_t take(const char* key, int64_t otherwise) { return has(key) ? take(key) : otherwise; }

  int spatial() const {
    if (has("d")) return 3;
    return has("h") ? 2 : 1;
  }

  // The values of one group; where the outer ones are missing too, `otherwise`.
  Shape group(const Names& names, int spatial, const Shape& otherwise) {
    Shape values = otherwise;
    bool given = false;
    for (int i = 0; i < spatial; ++i) {
      const char* name = names[kMaxSpatial - spatial + i];
      if (has(name)) {
        values[i] = take(name);
        given = true;
      } else if (given) {
        values[i] = values[i - 1];
      }
    }
    return values;
  }

  Shape group(const Names& names, int spatial) {
    const char* outermost = names[kMaxSpatial - spatial];
    if (!has(outermost)) fail(std::string("lacks key \"") + outermost + "\"");
    return group(names, spatial, Shape(spatial, 0));
  }

  Shape padding(const char* all, const Names& names, int spatial, const Shape& otherwise) {
    if (has(all)) return Shape(spatial, take(all));
    return group(names, spatial, otherwise);
  }

  void finish() const {
    if (!values_.empty()) fail("has key \"" + values_.begin()->first + "\", which means nothing here");
  }

 private:
  size_t read_pair(size_t begin) {
    size_t digits = begin, end;
    while (digits < text_.size() && text_[digits] >= 'a' && text_[digits] <= 'z') ++digits;
    const bool negative = text_[begin] == 'q' && digits < text_.size() && text_[digits] == '-';
    const size_t first = digits + negative;
    for (end = first; end < text_.size() && text_[end] >= '0' && text_[end] <= '9';) ++end;
    if (digits == begin || end == first)
      fail("is malformed at \"" + text_.substr(begin) + "\": expected a key of small letters and a number");
    int64_t value = 0;
    for (size_t i = first; i < end; ++i)
      if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, text_[i] - '0', &value))
        fail("has a number that does not fit 64 bits: \"" + text_.substr(begin, end - begin) + "\"");
    const std::string key = text_.substr(begin, digits - begin);
    if (!values_.emplace(key, negative ? -value : value).second) fail("has key \"" + key + "\" twice");
    return end;
  }

  const std::string text_;
  const std::string title_;
  std::map<std::string, int64_t> values_;
};

void append(std::string& text, const char* key, int64_t value) { text += key + std::to_string(value); }

bool all_equal(const int64_t* values, int spatial) {
  for (int i = 1; i < spatial; ++i)
    if (values[i] != values[0]) return false;
  return true;
}

bool same(const int64_t* a, const int64_t* b, int spatial) {
  for (int i = 0; i < spatial; ++i)
    if (a[i] != b[i]) return false;
  return true;
}

// The outermost key alone where all values are equal, else every key.
void append_group(std::string& text, const Names& names, const int64_t* values, int spatial,
                  const char* all = nullptr) {
  const char* const* used = names.data() + kMaxSpatial - spatial;
  if (all_equal(values, spatial)) return append(text, all ? all : used[0], values[0]);
  for (int i = 0; i < spatial; ++i) append(text, used[i], values[i]);
}

constexpr int64_t kOnes[kMaxSpatial] = {1, 1, 1};
constexpr int64_t kZeros[kMaxSpatial] = {0, 0, 0};

void set(int64_t* target, const Shape& values) {
  for (size_t i = 0; i < values.size(); ++i) target[i] = values[i];
}

}   // namespace

std::string describe(const ConvProblem& p) {
  std::string text;
  append(text, "n", p.batch);
  if (p.groups != 1) append(text, "g", p.groups);
  append(text, "c", p.in_channels);
  append_group(text, kInput, p.input, p.spatial);
  append(text, "k", p.out_channels);
  append_group(text, kKernel, p.kernel, p.spatial);
  if (!same(p.stride, kOnes, p.spatial)) append_group(text, kStride, p.stride, p.spatial);
  if (!same(p.dilation, kOnes, p.spatial)) append_group(text, kDilation, p.dilation, p.spatial);
  if (!same(p.pad_before, kZeros, p.spatial)) append_group(text, kPadBefore, p.pad_before, p.spatial, "p");
  if (!same(p.pad_after, p.pad_before, p.spatial)) append_group(text, kPadAfter, p.pad_after, p.spatial, "q");
  return text;
}

std::string describe(const PoolProblem& p) {
  std::string text = "pool:";
  append(text, "n", p.batch);
  append(text, "c", p.channels);
  append_group(text, kInput, p.input, p.spatial);
  append_group(text, kKernel, p.kernel, p.spatial);
  if (!same(p.stride, p.kernel, p.spatial)) append_group(text, kStride, p.stride, p.spatial);
  if (!same(p.dilation, kOnes, p.spatial)) append_group(text, kDilation, p.dilation, p.spatial);
  if (!same(p.padding, kZeros, p.spatial)) append_group(text, kPadBefore, p.padding, p.spatial, "p");
  if (p.ceil_mode) append(text, "ceil", 1);
  return text;
}

std::string describe(const LinearProblem& p) {
  std::string text = "linear:";
  append(text, "n", p.rows);
  append(text, "i", p.in_features);
  append(text, "o", p.out_features);
  return text;
}

std::string describe(const NormProblem& p) {
  std::string text = "norm:";
  append(text, "n", p.batch);
  append(text, "c", p.channels);
  if (p.spatial > 0) append_group(text, kInput, p.input, p.spatial);
  return text;
}

ConvProblem parse_conv(const std::string& descriptor) {
  Parser parser(descriptor, "conv:");
  const int spatial = parser.spatial();
  const int64_t batch = parser.take("n"), groups = parser.take("g", 1), channels = parser.take("c");
  Shape input{batch, channels};
  const Shape extents = parser.group(kInput, spatial);
  input.insert(input.end(), extents.begin(), extents.end());
  if (groups < 1) parser.fail("has \"g0\"; groups must be at least 1");
  if (channels % groups != 0) parser.fail("has channels that its groups do not divide");
  Shape weight{parser.take("k"), channels / groups};
  const Shape kernel = parser.group(kKernel, spatial);
  weight.insert(weight.end(), kernel.begin(), kernel.end());
  const Shape stride = parser.group(kStride, spatial, Shape(spatial, 1));
  const Shape dilation = parser.group(kDilation, spatial, Shape(spatial, 1));
  const Shape before = parser.padding("p", kPadBefore, spatial, Shape(spatial, 0));
  Shape after = parser.padding("q", kPadAfter, spatial, before), reached = input;
  parser.finish();
  checked_elements(parser.title(), "input", input);
  for (int i = 0; i < spatial; ++i) {   // a window reaches no cell that a negative padding takes off
    if (after[i] >= 0) continue;
    if (after[i] <= -dilation[i] || after[i] <= -input[i + 2])
      parser.fail("has padding after of " + std::to_string(after[i]) +
                  "; below 0 it must be smaller than the dilation and the input");
    reached[i + 2] += std::exchange(after[i], 0);
  }
  Padding padding;
  set(padding.before, before);
  set(padding.after, after);
  ConvProblem p = make_conv_problem(parser.title(), reached, weight, stride, padding, dilation, groups);
  for (int i = 0; i < spatial; ++i) {
    p.pad_after[i] -= input[i + 2] - p.input[i];
    p.input[i] = input[i + 2];
  }
  return p;
}

PoolProblem parse_pool(const std::string& descriptor) {
  Parser parser(descriptor, "pool:");
  const int spatial = parser.spatial();
  Shape input{parser.take("n"), parser.take("c")};
  const Shape extents = parser.group(kInput, spatial);
  input.insert(input.end(), extents.begin(), extents.end());
  const Shape kernel = parser.group(kKernel, spatial);
  const Shape stride = parser.group(kStride, spatial, kernel);
  const Shape dilation = parser.group(kDilation, spatial, Shape(spatial, 1));
  const Shape padding = parser.padding("p", kPadBefore, spatial, Shape(spatial, 0));
  const int64_t ceil = parser.take("ceil", 0);
  if (ceil > 1) parser.fail("has \"ceil" + std::to_string(ceil) + "\"; it is 0 or 1");
  parser.finish();
  return make_pool_problem(parser.title(), input, kernel, stride, padding, dilation, ceil == 1);
}

LinearProblem parse_linear(const std::string& descriptor) {
  Parser parser(descriptor, "linear:");
  const int64_t rows = parser.take("n"), in = parser.take("i"), out = parser.take("o");
  parser.finish();
  return make_linear_problem(parser.title(), {rows, in}, {out, in});
}

NormProblem parse_norm(const std::string& descriptor) {
  Parser parser(descriptor, "norm:");
  Shape input{parser.take("n"), parser.take("c")};
  if (parser.has("d") || parser.has("h") || parser.has("w")) {
    const Shape extents = parser.group(kInput, parser.spatial());
    input.insert(input.end(), extents.begin(), extents.end());
  }
  parser.finish();
  return make_norm_problem(parser.title(), input);
}

}   // namespace fastconv
