#pragma once

namespace pixeldp::kernels {

/// Tells the engine what memory and streams of the devices are that the program was built with. A
/// program that uses an operation by a stream need not call it; one that only calls kernels does.
void register_device_runtimes();

}  // namespace pixeldp::kernels
