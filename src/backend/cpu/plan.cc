#include "backend/cpu/plan.h"

#include <algorithm>
#include <span>

namespace merope::cpu {
namespace {

using Kind = Op::Kind;
using Then = FusedStep::Then;

// Rows a thread from which a step is split by rows: enough to read each weight from the nearer
// caches for most of them.
constexpr int64_t kOwnRows = 32;
// Rows are split among threads at multiples of this: evenly, but of integers between whole tiles,
// since the rows that are left of them are slower there (integer-inl.h).
constexpr int64_t kEvenRows = 2, kTileRows = 6;

// Takes one op after the other off the front.
class Reader {
 public:
  explicit Reader(std::span<const Op> ops) : rest_(ops) {}
  bool done() const { return rest_.empty(); }
  bool At(Kind kind) const { return !rest_.empty() && rest_.front().kind == kind; }
  const Op& Take(Kind kind) {
    CHECK(At(kind), "an op that no fused step starts with or goes on with");
    const Op& op = rest_.front();
    rest_ = rest_.subspan(1);
    return op;
  }

 private:
  std::span<const Op> rest_;
};

// Half of the panels of `own` that nobody has begun, at least a unit: large pieces are read without
// a stop, small ones at the end leave little to wait for. Empty when there are none.
Range Take(std::atomic<int64_t>& begun, const Range& own, int64_t unit) {
  for (int64_t from = begun.load(std::memory_order_relaxed); from < own.size();) {
    const int64_t left = own.size() - from, n = std::max(left / (2 * unit) * unit, unit);
    if (begun.compare_exchange_weak(from, from + n, std::memory_order_relaxed))
      return {own.begin + from, own.begin + from + n};
  }
  return {};
}

bool Same(const Tensor& a, const Tensor& b) { return a.data == b.data; }

// [GatherRows] [RmsNorm | Hadamard]… MatMul [Add | SwiGlu | Rope]
FusedStep FuseProduct(Reader& ops) {
  FusedStep step{.kind = FusedStep::Kind::kProduct};
  Tensor input{};  // what the next op must read
  const auto read = [&](const Tensor& x) {
    CHECK(input.data == nullptr || Same(x, input));
    if (step.x.data == nullptr) step.x = x;
  };
  if (ops.At(Kind::kGatherRows)) {
    const Op& gather = ops.Take(Kind::kGatherRows);
    read(gather.x);
    step.gathered = true;
    input = gather.out;
  }
  while (!ops.At(Kind::kMatMul)) {
    const bool norm = ops.At(Kind::kRmsNorm);
    const Op& op = ops.Take(norm ? Kind::kRmsNorm : Kind::kHadamard);
    read(op.x);
    step.turns.push_back(norm ? RowTurn{.norm = op.y, .eps = op.value}
                              : RowTurn{.block = op.block, .signs = op.y, .inverse = op.inverse});
    input = norm ? op.out : op.x;
  }
  const Op& product = ops.Take(Kind::kMatMul);
  read(product.x);
  step.matrix = product.matrix;
  step.out = product.out;
  if (ops.At(Kind::kAdd)) {
    const Op& add = ops.Take(Kind::kAdd);
    CHECK(Same(add.y, product.out));
    step.then = Then::kAdd;
    step.out = add.x;
  } else if (ops.At(Kind::kSwiGlu)) {
    const Op& gate = ops.Take(Kind::kSwiGlu);
    CHECK(Same(gate.x, product.out) && product.matrix->paired);
    step.then = Then::kSwiGlu;
    step.out = gate.out;
  } else if (ops.At(Kind::kRope)) {
    const Op& rope = ops.Take(Kind::kRope);
    CHECK(Same(rope.x, product.out));
    step.then = Then::kRope;
    step.turned = rope.x;
    step.head_dim = rope.head_dim;
  }
  return step;
}

std::vector<FusedStep> Fuse(std::span<const Op> recorded) {
  std::vector<FusedStep> steps;
  Reader ops(recorded);
  while (!ops.done()) {
    if (ops.At(Kind::kEmbed)) {
      const Op& embed = ops.Take(Kind::kEmbed);
      steps.push_back({.kind = FusedStep::Kind::kEmbed, .matrix = embed.matrix, .out = embed.out});
    } else if (ops.At(Kind::kStoreKv)) {
      const Op& store = ops.Take(Kind::kStoreKv);
      const Op& attention = ops.Take(Kind::kAttention);
      CHECK(!steps.empty() && steps.back().then == Then::kRope && store.layer == attention.layer);
      steps.push_back({.kind = FusedStep::Kind::kAttention,
                       .x = attention.x,
                       .out = attention.out,
                       .turned = steps.back().turned,
                       .head_dim = steps.back().head_dim,
                       .layer = store.layer,
                       .k = store.x,
                       .v = store.y,
                       .scale = attention.value});
    } else {
      steps.push_back(FuseProduct(ops));
    }
  }
  return steps;
}

}  // namespace

CpuPlan::CpuPlan(const std::vector<Op>& recorded, const PlanLimits& limits, const KvShape& kv,
                 Ops& cpu_ops, ThreadTeam& team)
    : ops_(cpu_ops),
      team_(team),
      steps_(Fuse(recorded)),
      scratch_(static_cast<size_t>(team.size())),
      kv_heads_(kv.n_kv_heads),
      row_unit_(kEvenRows) {
  ops = std::ssize(recorded);
  steps = std::ssize(steps_);
  int64_t units = 0, columns = 0, unpacked = 0, layers = 0;
  for (const FusedStep& step : steps_) {
    if (step.kind == FusedStep::Kind::kProduct) {
      if (step.matrix->integer() || step.matrix->form == WeightForm::kStored) row_unit_ = kTileRows;
      units = std::max(units, step.matrix->InputUnits());
      columns = std::max(columns, step.matrix->in_features);
      if (step.matrix->form == WeightForm::kPackedBf16)
        unpacked = std::max(unpacked, step.matrix->k_steps * step.matrix->panel);
    } else if (step.kind == FusedStep::Kind::kAttention) {
      group_ = step.x.cols / step.k.cols;
      layers = std::max(layers, step.layer + 1);
    }
  }
  next_item_ = std::vector<std::atomic<size_t>>(static_cast<size_t>(layers));
  begun_ = std::vector<Begun>(steps_.size() * scratch_.size());
  const int64_t by_panels = std::min(limits.rows, kOwnRows * team.size());
  const int64_t rows = std::max({by_panels, limits.logit_rows,
                                 Share(limits.rows, 0, team.size(), row_unit_).size() + row_unit_});
  for (Scratch& scratch : scratch_) {
    scratch.input = PageArray<uint32_t>(rows * units);
    scratch.row = PageArray<float>(columns);
    scratch.unpacked = PageArray<uint32_t>(unpacked);
    scratch.gate = PageArray<float>(rows * ops_.matmul().panel);
    scratch.up = PageArray<float>(rows * ops_.matmul().panel);
    ops_.Reserve(kv, Ops::MaxAttentionRows(group_), limits.context, &scratch.attention);
    bytes += static_cast<int64_t>(scratch.input.bytes() + scratch.row.bytes() +
                                  scratch.gate.bytes() + scratch.up.bytes() +
                                  scratch.unpacked.bytes() + scratch.attention.bytes());
  }
  items_.reserve(static_cast<size_t>(limits.rows * kv.n_kv_heads));
}

int64_t CpuPlan::Rows(const FusedStep& step) const {
  return step.gathered ? std::ssize(ops_.step().logit_rows) : std::ssize(ops_.step().tokens);
}

bool CpuPlan::ByRows(const FusedStep& step) const {
  return !step.gathered && Rows(step) > kOwnRows * team_.size();
}

void CpuPlan::Run() {
  const bool by_rows = ByRows(steps_.front());
  // By panels, an item is all of a sequence's rows, whose K and V it stores itself.
  ops_.ListItems(group_, by_rows ? Ops::AttentionTokens(group_) : Rows(steps_.front()),
                 team_.size(), &items_);
  // The longest first, so that the threads end together.
  std::ranges::sort(items_, std::ranges::greater(), [](const AttentionItem& item) {
    return item.sequence->context + item.first_token + item.n_tokens;
  });
  for (auto& next : next_item_) next.store(0, std::memory_order_relaxed);
  for (auto& begun : begun_) begun.panels.store(0, std::memory_order_relaxed);
  team_.Run([this](int thread) { RunThread(thread); });
}

void CpuPlan::RunThread(int thread) {
  for (size_t i = 0; i < steps_.size(); ++i) {
    const FusedStep& step = steps_[i];
    if (Rows(step) == 0) continue;
    switch (step.kind) {
      case FusedStep::Kind::kEmbed:
        RunEmbed(step, thread);
        break;
      case FusedStep::Kind::kProduct:
        RunProduct(step, thread);
        break;
      case FusedStep::Kind::kAttention:
        RunAttention(step, thread);
        break;
    }
    if (i + 1 == steps_.size()) break;
    // Rows that stay with their thread from one step to the next need no meeting.
    const auto stays = [&](const FusedStep& s) {
      return s.kind != FusedStep::Kind::kAttention && ByRows(s);
    };
    if (!stays(step) || !stays(steps_[i + 1])) team_.Sync();
  }
}

void CpuPlan::RunEmbed(const FusedStep& step, int thread) {
  const Range rows = Share(Rows(step), thread, team_.size(), row_unit_);
  for (int64_t row = rows.begin; row < rows.end; ++row) ops_.EmbedRow(*step.matrix, row, step.out);
}

void CpuPlan::RunProduct(const FusedStep& step, int thread) {
  Scratch& scratch = scratch_[static_cast<size_t>(thread)];
  const PackedMatrix& matrix = *step.matrix;
  const bool by_rows = ByRows(step);
  const Range rows =
      by_rows ? Share(Rows(step), thread, team_.size(), row_unit_) : Range{0, Rows(step)};
  if (rows.size() == 0) return;

  const ProductInput input{scratch.input.data(), matrix.InputUnits()};
  for (int64_t i = 0; i < rows.size(); ++i) {
    const int64_t row = rows.begin + i;
    const int64_t from = step.gathered ? ops_.step().logit_rows[static_cast<size_t>(row)] : row;
    const float* x = step.x.data + from * step.x.stride;
    for (const RowTurn& turn : step.turns) {
      if (turn.norm.data != nullptr) {
        ops_.NormRow(x, turn.norm, turn.eps, scratch.row.data());
      } else {
        if (x != scratch.row.data()) std::copy_n(x, step.x.cols, scratch.row.data());
        ops_.HadamardRow(scratch.row.data(), step.x.cols, turn.block, turn.signs, turn.inverse);
      }
      x = scratch.row.data();
    }
    ops_.PrepareRow(x, matrix, scratch.input.data() + i * input.stride);
  }

  if (by_rows) {
    RunPanels(step, input, rows, {0, matrix.panels()}, scratch);
    if (step.then == Then::kRope)
      for (int64_t row = rows.begin; row < rows.end; ++row)
        ops_.RopeRow(step.turned, row, step.head_dim);
    return;
  }
  const int threads = team_.size();
  const int64_t at_once = matrix.paired ? 2 : 1;
  Begun* begun = &begun_[static_cast<size_t>((&step - steps_.data()) * threads)];
  for (int i = 0; i < threads; ++i) {
    const int owner = (thread + i) % threads;
    const Range own = Share(matrix.panels(), owner, threads, at_once);
    for (Range panels; (panels = Take(begun[owner].panels, own, at_once)).size() > 0;)
      RunPanels(step, input, rows, panels, scratch);
  }
}

// Those panels for those rows, and what follows the product but for a rotation.
void CpuPlan::RunPanels(const FusedStep& step, const ProductInput& input, Range rows, Range panels,
                        Scratch& scratch) {
  const PackedMatrix& matrix = *step.matrix;
  const Tensor out = step.out.Rows(rows.begin, rows.size());
  if (step.then != Then::kSwiGlu)
    return ops_.Panels(matrix, input, rows.size(), panels, step.then == Then::kAdd, out,
                       &scratch.unpacked);
  for (int64_t p = panels.begin; p < panels.end; p += 2) {
    ops_.OnePanel(matrix, input, rows.size(), p, scratch.gate.data(), &scratch.unpacked);
    ops_.OnePanel(matrix, input, rows.size(), p + 1, scratch.up.data(), &scratch.unpacked);
    for (int64_t i = 0; i < rows.size(); ++i)
      ops_.SwiGluRow(scratch.gate.data() + i * matrix.panel, scratch.up.data() + i * matrix.panel,
                     matrix.Rows(p), out.data + i * out.stride + matrix.FirstRow(p));
  }
}

// By panels, each item turns its q and k, stores its k and v, and attends. By rows, q and k are
// turned; K and V are stored by head, and then the threads take items.
void CpuPlan::RunAttention(const FusedStep& step, int thread) {
  Scratch& scratch = scratch_[static_cast<size_t>(thread)];
  const bool by_rows = ByRows(step);
  const int64_t d = step.head_dim;
  if (by_rows) {
    const Range heads = Share(kv_heads_, thread, team_.size());
    for (const SequenceRows& sequence : ops_.step().sequences)
      ops_.StoreHeads(step.layer, sequence, heads, step.k, step.v);
    team_.Sync();
  }
  const int64_t tile = Ops::AttentionTokens(group_);
  auto& next = next_item_[static_cast<size_t>(step.layer)];
  for (size_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < items_.size();) {
    AttentionItem item = items_[i];
    if (!by_rows) {
      const SequenceRows& sequence = *item.sequence;
      const int64_t column = item.kv_head * d, columns = item.n_heads * d;
      for (int64_t r = 0; r < sequence.n_rows; ++r) {
        const int64_t row = sequence.first_row + r;
        ops_.RopeRow(step.x.Cols(column * group_, columns * group_), row, d);
        ops_.RopeRow(step.k.Cols(column, columns), row, d);
      }
      ops_.StoreHeads(step.layer, sequence, {item.kv_head, item.kv_head + item.n_heads}, step.k,
                      step.v);
    }
    for (const int64_t end = item.first_token + item.n_tokens; item.first_token < end;
         item.first_token += tile) {
      item.n_tokens = std::min(tile, end - item.first_token);
      ops_.Attend(step.layer, item, step.x, step.scale, step.out, &scratch.attention);
    }
  }
}

}  // namespace merope::cpu
