#include "backend/cpu/plan.h"

#include <algorithm>
#include <span>

namespace merope::cpu {
namespace {

using Then = FusedStep::Then;

// A step with more rows per thread than this number is split by rows. With this number of rows, a
// thread reads each weight from the nearer caches for most of its rows.
constexpr int64_t kOwnRows = 32;
// Rows are split among threads at multiples of these numbers: almost evenly, but with integers
// between whole tiles, because rows outside whole tiles are slower there (integer-inl.h).
constexpr int64_t kEvenRows = 2, kTileRows = 6;

// Claims half of the panels of `own` that no thread has begun, but at least one unit. Large pieces
// are read without a stop; small pieces at the end leave little time to wait. Returns an empty
// range if no panels are left.
Range ClaimPanels(std::atomic<int64_t>& begun, const Range& own, int64_t unit) {
  for (int64_t from = begun.load(std::memory_order_relaxed); from < own.size();) {
    const int64_t left = own.size() - from, n = std::max(left / (2 * unit) * unit, unit);
    if (begun.compare_exchange_weak(from, from + n, std::memory_order_relaxed))
      return {own.begin + from, own.begin + from + n};
  }
  return {};
}

// Whether a thread needs no data that another thread has computed from other rows.
bool WorksRowByRow(const FusedStep& step) {
  if (step.kind == FusedStep::Kind::kOp)
    return step.op.kind != OpKind::kStoreKv && step.op.kind != OpKind::kAttention;
  return step.kind == FusedStep::Kind::kProduct;
}

}  // namespace

CpuPlan::CpuPlan(const std::vector<Op>& recorded, const PlanLimits& limits, const KvShape& kv,
                 Ops& cpu_ops, ThreadTeam& team)
    : ops_(cpu_ops),
      team_(team),
      steps_(Fuse(recorded, kv.head_dim)),
      scratch_(static_cast<size_t>(team.size())),
      kv_heads_(kv.n_kv_heads),
      row_unit_(kEvenRows) {
  ops = std::ssize(recorded);
  steps = std::ssize(steps_);
  int64_t units = 0, columns = 0, unpacked = 0;
  for (const FusedStep& step : steps_) {
    if (step.kind == FusedStep::Kind::kProduct) {
      if (step.matrix->integer() || step.matrix->form == WeightForm::kNative) row_unit_ = kTileRows;
      units = std::max(units, step.matrix->InputUnits());
      columns = std::max(columns, step.matrix->in_features);
      if (step.matrix->form == WeightForm::kPackedBf16)
        unpacked = std::max(unpacked, step.matrix->k_steps * step.matrix->panel);
    } else if (step.kind == FusedStep::Kind::kAttention) {
      SetGroup(step.q, kv);
    } else if (step.op.kind == OpKind::kAttention) {
      SetGroup(step.op.x, kv);
    }
  }
  next_item_ = std::vector<std::atomic<size_t>>(steps_.size());
  begun_ = std::vector<Begun>(steps_.size() * scratch_.size());
  const int64_t by_panels = std::min(limits.rows, MostByPanels());
  const int64_t rows = std::max({by_panels, limits.logit_rows,
                                 Share(limits.rows, 0, team.size(), row_unit_).size() + row_unit_});
  for (Scratch& scratch : scratch_) {
    scratch.input = PageArray<uint32_t>(rows * units);
    scratch.row = PageArray<float>(columns);
    scratch.unpacked = PageArray<uint32_t>(unpacked);
    scratch.gate = PageArray<float>(rows * ops_.matmul().panel);
    scratch.up = PageArray<float>(rows * ops_.matmul().panel);
    if (group_ > 0)
      ops_.Reserve(kv, Ops::MaxAttentionRows(group_), limits.context, &scratch.attention);
    bytes += static_cast<int64_t>(scratch.input.bytes() + scratch.row.bytes() +
                                  scratch.gate.bytes() + scratch.up.bytes() +
                                  scratch.unpacked.bytes() + scratch.attention.bytes());
  }
  items_.reserve(static_cast<size_t>(limits.rows * kv.n_kv_heads));
}

void CpuPlan::SetGroup(const Tensor& q, const KvShape& kv) {
  const int64_t group = q.cols / kv.head_dim / kv.n_kv_heads;
  CHECK(group_ == 0 || group_ == group, "attention with {} and {} query heads a K/V head", group_,
        group);
  group_ = group;
}

int64_t CpuPlan::Rows(const FusedStep& step) const {
  return step.gathered ? std::ssize(ops_.step().logit_rows) : std::ssize(ops_.step().tokens);
}

bool CpuPlan::ByRows(const FusedStep& step) const {
  return !step.gathered && Rows(step) > MostByPanels();
}

int64_t CpuPlan::MostByPanels() const { return kOwnRows * team_.size(); }

void CpuPlan::Run() {
  if (group_ > 0) {
    // In a step split by panels, an item is all rows of a sequence, and stores their K and V
    // itself.
    const int64_t rows = std::ssize(ops_.step().tokens);
    ops_.ListItems(group_, rows > MostByPanels() ? Ops::AttentionTokens(group_) : rows,
                   team_.size(), &items_);
    // The longest items come first, so that the threads finish at the same time.
    std::ranges::sort(items_, std::ranges::greater(), [](const AttentionItem& item) {
      return item.sequence->context + item.first_token + item.n_tokens;
    });
  }
  for (auto& next : next_item_) next.store(0, std::memory_order_relaxed);
  for (auto& begun : begun_) begun.panels.store(0, std::memory_order_relaxed);
  team_.Run([this](int thread) { RunThread(thread); });
}

void CpuPlan::RunThread(int thread) {
  for (size_t i = 0; i < steps_.size(); ++i) {
    const FusedStep& step = steps_[i];
    if (Rows(step) == 0) continue;
    switch (step.kind) {
      case FusedStep::Kind::kOp:
        RunOp(step, thread);
        break;
      case FusedStep::Kind::kProduct:
        RunProduct(step, thread);
        break;
      case FusedStep::Kind::kAttention:
        RunAttention(step, thread);
        break;
    }
    if (i + 1 == steps_.size()) break;
    // If the rows stay with their thread from this step to the next, no Sync is needed.
    const auto stays = [&](const FusedStep& s) { return WorksRowByRow(s) && ByRows(s); };
    if (!stays(step) || !stays(steps_[i + 1])) team_.Sync();
  }
}

void CpuPlan::RunOp(const FusedStep& step, int thread) {
  const Op& op = step.op;
  if (op.kind == OpKind::kStoreKv) {
    StoreKv(op.layer, op.x, op.y, thread);
  } else if (op.kind == OpKind::kAttention) {
    Attend(step, op.layer, op.x, op.value, op.out, thread, [](const AttentionItem&) {});
  } else {
    const Range rows = Share(Rows(step), thread, team_.size(), row_unit_);
    for (int64_t row = rows.begin; row < rows.end; ++row) ops_.RunRow(op, row);
  }
}

// Stores this thread's heads of all sequences.
void CpuPlan::StoreKv(int64_t layer, const Tensor& k, const Tensor& v, int thread) const {
  const Range heads = Share(kv_heads_, thread, team_.size());
  for (const SequenceRows& sequence : ops_.step().sequences)
    ops_.StoreHeads(layer, sequence, heads, k, v);
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
    const int64_t from = step.gathers ? ops_.step().logit_rows[static_cast<size_t>(row)] : row;
    const float* x = step.x.data + from * step.x.stride;
    for (const RowTransform& transform : step.transforms) {
      if (transform.norm.data != nullptr) {
        ops_.NormRow(x, transform.norm, transform.eps, scratch.row.data());
      } else {
        if (x != scratch.row.data()) std::copy_n(x, step.x.cols, scratch.row.data());
        ops_.HadamardRow(scratch.row.data(), step.x.cols, transform.block, transform.signs,
                         transform.inverse);
      }
      x = scratch.row.data();
    }
    ops_.PrepareRow(x, matrix, scratch.input.data() + i * input.stride);
  }

  if (by_rows) {
    RunPanels(step, input, rows, {0, matrix.panels()}, scratch);
    if (step.then == Then::kRope)
      for (int64_t row = rows.begin; row < rows.end; ++row) FinishHeads(step, step.q, step.k, row);
    return;
  }
  const int threads = team_.size();
  const int64_t at_once = matrix.paired ? 2 : 1;
  Begun* begun = &begun_[static_cast<size_t>((&step - steps_.data()) * threads)];
  for (int i = 0; i < threads; ++i) {
    const int owner = (thread + i) % threads;
    const Range own = Share(matrix.panels(), owner, threads, at_once);
    for (Range panels; (panels = ClaimPanels(begun[owner].panels, own, at_once)).size() > 0;)
      RunPanels(step, input, rows, panels, scratch);
  }
}

// Computes these panels for these rows, and the op after the product, except norms and rotations of
// heads.
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

void CpuPlan::FinishHeads(const FusedStep& step, const Tensor& q, const Tensor& k,
                          int64_t row) const {
  const auto finish = [&](const Tensor& x, const HeadNorm& norm) {
    if (norm.weight.data != nullptr) ops_.HeadNormRow(x, row, norm.weight, norm.eps);
    ops_.RopeRow(x, row, step.head_dim);
  };
  finish(q, step.q_norm);
  finish(k, step.k_norm);
}

// Split by panels: each item finishes its q and k, stores its k and v, and attends. Split by rows:
// q and k are already finished; the threads store K and V by head, and then take items.
void CpuPlan::RunAttention(const FusedStep& step, int thread) {
  const auto nothing = [](const AttentionItem&) {};
  if (ByRows(step)) {
    StoreKv(step.layer, step.k, step.v, thread);
    team_.Sync();
    return Attend(step, step.layer, step.q, step.scale, step.out, thread, nothing);
  }
  const int64_t d = step.head_dim;
  Attend(step, step.layer, step.q, step.scale, step.out, thread, [&](const AttentionItem& item) {
    const SequenceRows& sequence = *item.sequence;
    const int64_t column = item.kv_head * d, columns = item.n_heads * d;
    for (int64_t r = 0; r < sequence.n_rows; ++r)
      FinishHeads(step, step.q.Cols(column * group_, columns * group_),
                  step.k.Cols(column, columns), sequence.first_row + r);
    ops_.StoreHeads(step.layer, sequence, {item.kv_head, item.kv_head + item.n_heads}, step.k,
                    step.v);
  });
}

template <class Prepare>
void CpuPlan::Attend(const FusedStep& step, int64_t layer, const Tensor& q, float scale,
                     const Tensor& out, int thread, const Prepare& prepare) {
  AttentionScratch& scratch = scratch_[static_cast<size_t>(thread)].attention;
  const int64_t tile = Ops::AttentionTokens(group_);
  std::atomic<size_t>& next = next_item_[static_cast<size_t>(&step - steps_.data())];
  for (size_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < items_.size();) {
    AttentionItem item = items_[i];
    prepare(item);
    for (const int64_t end = item.first_token + item.n_tokens; item.first_token < end;
         item.first_token += tile) {
      item.n_tokens = std::min(tile, end - item.first_token);
      ops_.Attend(layer, item, q, scale, out, &scratch);
    }
  }
}

}  // namespace merope::cpu
