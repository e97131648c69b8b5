#pragma once

#include <filesystem>
#include <string_view>

#include "engine/io/dataset.hpp"

namespace pixeldp {

/// A data set of any size: pictures (PNG or JPEG) in files by class, ROOT/train/CLASS/FILE and
/// ROOT/test/CLASS/FILE, or ROOT/val where there is no ROOT/test. As torchvision's ImageFolder has
/// it, labels number the folders of classes in the order of their names' bytes, and images follow
/// each other by class, then by the bytes of their files' names, which end in .png, .jpg or .jpeg
/// in small letters or capitals. Only names and labels are kept; an image is decoded when it is
/// read, converted to the form's channels, resized and cut to its size (resized_centre).
///
/// Where there is a ROOT/synsets.txt, labels number its lines instead: each the name of a class's
/// folder, or the number of the line, from 0, and that name; what follows is passed over, as are
/// lines that begin with '#'. A split may then lack classes, but none may be missing in the list.
/// Pictures whose "CLASS/FILE" is a line of ROOT/skip.txt are left out of every split.
///
/// Its SHA-256 is that of the lines "DIGEST  CLASS/FILE\n" in the order of the images, DIGEST the
/// SHA-256 of the file: what `sha256sum` prints. Computing it reads every file of the split once,
/// by several threads and with a progress bar, and is not remembered: whether files have changed,
/// only reading them tells. Certificates need it, training does not.
///
/// Throws an Error that names the folder where there are no classes, a class has no pictures, one
/// has a picture of a kind that is not read, or the classes are other ones than the form's number
/// and the other split's folder say; a usage Error where the form says no size.
Dataset open_image_folder(std::string_view name, std::string_view split,
                          const std::filesystem::path& root, const ImageForm& form);

}  // namespace pixeldp
