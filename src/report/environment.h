// Reads the file that describes the device of a server (--environment). Called by CollectServer.
//
// The file is YAML: one mapping of names to single values, such as "device: Ascend910_9362". The
// report has a row for each of the names in kEnvironmentFields, and one for each further name.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"

namespace merope {

struct EnvironmentField {
  std::string_view name;              // in the file: "device"
  std::string_view english, chinese;  // in the report
  bool hardware = false;
};
// The fields of the reference report (the public adaptation report of Pleias-RAG-350M on an Ascend
// NPU), in its order. The server itself tells its software, model and context.
inline constexpr EnvironmentField kEnvironmentFields[] = {
    {"device", "Device", "加速器", true},
    {"device_count", "Devices (used)", "加速器数量（使用）", true},
    {"host_cpu", "Host CPU", "主机 CPU", true},
    {"host_memory", "Host memory", "主机内存", true},
    {"os", "Operating system", "操作系统"},
    {"driver", "Driver", "驱动"},
    {"firmware", "Firmware", "固件"},
    {"cann", "CANN", "CANN"},
    {"python", "Python", "Python"},
    {"torch", "PyTorch", "PyTorch"},
    {"torch_npu", "torch_npu", "torch_npu"},
    {"transformers", "Transformers", "Transformers"},
    {"dtype", "Served dtype", "服务端数据类型"},
    {"flags", "Server's options", "服务启动参数"},
};

// The names and values in the order of the file. Errors: no such file, more than 1 MiB, no YAML, a
// value that is a list or a mapping, a name that stands twice.
Result<std::vector<std::pair<std::string, std::string>>> ReadEnvironment(const std::string& path);

}  // namespace merope
