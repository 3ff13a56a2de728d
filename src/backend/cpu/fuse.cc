#include "backend/cpu/fuse.h"

#include <algorithm>
#include <optional>

namespace merope::cpu {
namespace {

using Kind = OpKind;
using Then = FusedStep::Then;

bool Same(const Tensor& a, const Tensor& b) {
  return a.data == b.data && a.rows == b.rows && a.cols == b.cols && a.stride == b.stride;
}

// Whether the tensors may have an element in common. For column ranges of the same rows, the answer
// is exact. Other tensors are compared as ranges of memory.
bool Overlap(const Tensor& a, const Tensor& b) {
  if (a.data == nullptr || b.data == nullptr) return false;
  const auto end = [](const Tensor& t) { return t.data + (t.rows - 1) * t.stride + t.cols; };
  if (a.data >= end(b) || b.data >= end(a)) return false;
  if (a.stride != b.stride) return true;
  const auto apart = [](const Tensor& left, const Tensor& right) {
    const int64_t distance = right.data - left.data;
    return distance >= left.cols && distance + right.cols <= left.stride;
  };
  return !apart(a, b) && !apart(b, a);
}

// Whether the later ops never read the present values of the tensor. An op may read a part of the
// tensor only after an op has written the whole tensor or exactly this part.
bool IsDead(const Tensor& tensor, std::span<const Op> later) {
  std::vector<Tensor> fresh;  // the parts that have been written again
  const auto is_fresh = [&](const Tensor& t) {
    return std::ranges::any_of(fresh, [&](const Tensor& f) { return Same(f, t); });
  };
  for (const Op& op : later) {
    for (const Tensor& t : op.reads())
      if (Overlap(t, tensor) && !is_fresh(t)) return false;
    const Tensor t = op.written();
    if (Same(t, tensor)) return true;
    if (Overlap(t, tensor)) fresh.push_back(t);
  }
  return true;
}

// The number of ops that a pattern takes, from the first op on, and the steps that replace them.
struct Match {
  size_t ops = 0;
  std::vector<FusedStep> steps;
};

// Matches the ops of a product. Find returns nothing if the ops are no product, or if a later op
// reads a tensor that the ops pass to each other.
class ProductMatcher {
 public:
  ProductMatcher(std::span<const Op> ops, int64_t head_dim) : ops_(ops), head_dim_(head_dim) {}

  std::optional<Match> Find() {
    if (At(Kind::kGatherRows)) {
      step_.gathers = true;
      if (!Chain(Next(), Next().out)) return std::nullopt;
    }
    while (At(Kind::kRmsNorm) || At(Kind::kHadamard)) {
      const Op& op = Next();
      const bool norm = op.kind == Kind::kRmsNorm;
      step_.transforms.push_back(
          norm ? RowTransform{.norm = op.y, .eps = op.value}
               : RowTransform{.block = op.block, .signs = op.y, .inverse = op.inverse});
      if (!Chain(op, norm ? op.out : op.x)) return std::nullopt;
    }
    if (!At(Kind::kMatMul)) return std::nullopt;
    const Op& product = Next();
    step_.matrix = &static_cast<const PackedMatrix&>(*product.matrix);
    step_.out = product.out;
    if (!Chain(product, {})) return std::nullopt;
    if (!HandedOverAreDead()) return std::nullopt;
    // In a step split by panels, a thread reads rows of x while another thread writes rows of out.
    if (Overlap(step_.x, step_.out)) return std::nullopt;
    Match match{.ops = n_, .steps = {step_}};
    if (const auto longer = FindThen(product)) return longer;
    return match;
  }

 private:
  bool At(Kind kind) const { return n_ < ops_.size() && ops_[n_].kind == kind; }
  const Op& Next() const { return ops_[n_]; }

  // Takes an op that reads the tensor passed on by the previous op, and that passes `to` on (null:
  // passes nothing on). Returns false if the op reads another tensor.
  bool Chain(const Op& op, const Tensor& to) {
    if (n_ > 0 && !Same(op.x, handed_over_.back())) return false;
    if (n_ == 0) step_.x = op.x;
    if (to.data != nullptr) handed_over_.push_back(to);
    ++n_;
    return true;
  }

  bool HandedOverAreDead() const {
    return std::ranges::all_of(handed_over_,
                               [&](const Tensor& t) { return IsDead(t, ops_.subspan(n_)); });
  }

  // The product, together with an op that can run on its panels or rows at once.
  std::optional<Match> FindThen(const Op& product) {
    FusedStep step = step_;
    handed_over_.push_back(product.out);
    if (At(Kind::kAdd)) {
      const Op& add = Next();
      ++n_;
      if (!Same(add.y, product.out) || Overlap(add.x, step.x) || Overlap(add.x, add.y) ||
          !HandedOverAreDead())
        return std::nullopt;
      step.then = Then::kAdd;
      step.out = add.x;
      return Match{.ops = n_, .steps = {step}};
    }
    if (At(Kind::kSwiGlu)) {
      const Op& gate = Next();
      ++n_;
      if (!Same(gate.x, product.out) || !step.matrix->paired || Overlap(gate.out, step.x) ||
          Overlap(gate.out, gate.x) || !HandedOverAreDead())
        return std::nullopt;
      step.then = Then::kSwiGlu;
      step.out = gate.out;
      return Match{.ops = n_, .steps = {step}};
    }
    return FindAttention(product, step);
  }

  // HeadNorm(q or k)…, Rope(q, k), StoreKv(k, v), Attention(q). q and k are normalized and rotated
  // where they are needed (plan.cc), so the product's output has its final values only after the
  // attention.
  std::optional<Match> FindAttention(const Op& product, FusedStep step) {
    const size_t first_norm = n_;
    while (At(Kind::kHeadNorm)) ++n_;
    if (ops_.size() < n_ + 3 || step.gathers || ops_[n_].kind != Kind::kRope ||
        ops_[n_ + 1].kind != Kind::kStoreKv || ops_[n_ + 2].kind != Kind::kAttention)
      return std::nullopt;
    const Op &rope = ops_[n_], &store = ops_[n_ + 1], &attention = ops_[n_ + 2];
    const Tensor &out = product.out, &q = attention.x, &k = store.x, &v = store.y;
    const bool fits =
        rope.x.data == out.data && rope.x.stride == out.stride && rope.x.rows == out.rows &&
        q.data == out.data && q.stride == out.stride && k.data == q.data + q.cols &&
        v.data == k.data + k.cols && rope.x.cols == q.cols + k.cols &&
        out.cols == rope.x.cols + v.cols && k.cols == v.cols && store.layer == attention.layer &&
        rope.head_dim == head_dim_ && q.cols % k.cols == 0 && !Overlap(attention.out, out);
    if (!fits) return std::nullopt;
    step.then = Then::kRope;
    step.q = q;
    step.k = k;
    step.head_dim = rope.head_dim;
    for (const Op& norm : ops_.subspan(first_norm, n_ - first_norm))
      if (!TakeHeadNorm(norm, out, &step)) return std::nullopt;
    n_ += 3;
    return Match{.ops = n_,
                 .steps = {step,
                           {.kind = FusedStep::Kind::kAttention,
                            .out = attention.out,
                            .q = q,
                            .k = k,
                            .q_norm = step.q_norm,
                            .k_norm = step.k_norm,
                            .head_dim = rope.head_dim,
                            .layer = store.layer,
                            .v = v,
                            .scale = attention.value}}};
  }

  // The step takes one norm of q and one of k. Returns false if it cannot take this one.
  bool TakeHeadNorm(const Op& norm, const Tensor& out, FusedStep* step) const {
    HeadNorm* to = Same(norm.x, step->q)   ? &step->q_norm
                   : Same(norm.x, step->k) ? &step->k_norm
                                           : nullptr;
    if (to == nullptr || to->weight.data != nullptr || norm.y.cols != head_dim_ ||
        Overlap(norm.y, out))
      return false;
    *to = {norm.y, norm.value};
    return true;
  }

  std::span<const Op> ops_;
  int64_t head_dim_;  // of the K/V cache
  size_t n_ = 0;      // ops taken so far
  FusedStep step_{.kind = FusedStep::Kind::kProduct};
  std::vector<Tensor> handed_over_;  // passed from op to op, and not written by the fused step
};

// Tracks which tensors hold logit rows: the gathered tensors, and the tensors computed from them.
class GatheredRows {
 public:
  // Whether the op's rows are logit rows.
  bool Track(const Op& op) {
    const auto overlaps = [](const Tensor& with) {
      return [&with](const Tensor& t) { return Overlap(t, with); };
    };
    const bool gathered =
        op.kind == Kind::kGatherRows || std::ranges::any_of(tensors_, overlaps(op.x));
    const Tensor written = op.written();
    std::erase_if(tensors_, overlaps(written));
    if (gathered && written.data != nullptr) tensors_.push_back(written);
    return gathered;
  }

 private:
  std::vector<Tensor> tensors_;
};

}  // namespace

std::vector<FusedStep> Fuse(std::span<const Op> ops, int64_t head_dim) {
  std::vector<FusedStep> steps;
  GatheredRows gathered;
  while (!ops.empty()) {
    std::optional<Match> match = ProductMatcher(ops, head_dim).Find();
    if (!match) match = Match{.ops = 1, .steps = {{.kind = FusedStep::Kind::kOp, .op = ops[0]}}};
    bool rows_of_logits = false;
    for (const Op& op : ops.first(match->ops)) rows_of_logits = gathered.Track(op);
    for (FusedStep& step : match->steps) {
      step.gathered = rows_of_logits;
      steps.push_back(std::move(step));
    }
    ops = ops.subspan(match->ops);
  }
  return steps;
}

}  // namespace merope::cpu
