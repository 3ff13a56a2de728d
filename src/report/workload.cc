#include "report/workload.h"

#include <algorithm>
#include <string_view>
#include <utility>

namespace merope {

std::vector<ParameterGroup> CountParameters(const ModelConfig& config) {
  std::vector<ParameterGroup> groups = {
      {"embedding", 0}, {"attention", 0}, {"mlp", 0}, {"norms", 0}, {"head", 0}};
  for (const ExpectedTensor& tensor : ExpectedTensors(config)) {
    int64_t n = 1;
    for (const int64_t size : tensor.shape) n *= size;
    const auto has = [&](std::string_view part) {
      return tensor.name.find(part) != tensor.name.npos;
    };
    const size_t group = has("norm.weight")    ? 3
                         : has("embed_tokens") ? 0
                         : has("self_attn")    ? 1
                         : has(".mlp.")        ? 2
                         : has("lm_head")      ? 4
                                               : 3;
    groups[group].parameters += n;
  }
  std::erase_if(groups, [](const ParameterGroup& group) { return group.parameters == 0; });
  return groups;
}

LatencyOptions ReportGrid(int64_t context, bool quick) {
  LatencyOptions grid;
  grid.repeats = quick ? 3 : 5;
  if (quick) grid.warmup = 1;
  if (128 + 100 > context) {
    grid.input_lengths = {std::max<int64_t>(1, context / 4), std::max<int64_t>(1, context / 2)};
    grid.output_lengths = {std::max<int64_t>(1, context / 2)};
  }
  return grid;
}

LatencyOptions EagerBesideCompiled(LatencyOptions grid,
                                   std::function<void(int64_t, int64_t)> progress) {
  grid.input_lengths = {std::ranges::min(grid.input_lengths), std::ranges::max(grid.input_lengths)};
  if (grid.input_lengths[0] == grid.input_lengths[1]) grid.input_lengths.pop_back();
  grid.output_lengths = {grid.output_lengths.front()};
  grid.warmup = 1;
  grid.repeats += 2;  // each repeat is a pair: one eager and one compiled run
  grid.eager_too = true;
  grid.progress = std::move(progress);
  return grid;
}

}  // namespace merope
