# dlib's module looks for NVIDIA's libraries beside itself, where the Python packages have them.
set(CMAKE_BUILD_WITH_INSTALL_RPATH ON)
set(CMAKE_INSTALL_RPATH "$ORIGIN/nvidia/cu13/lib:$ORIGIN/nvidia/cudnn/lib")
# dlib means to do without link time optimization, which takes many minutes, and its pybind11 does it all the same.
set(HAS_FLTO OFF CACHE INTERNAL "")
set(HAS_FLTO_THIN OFF CACHE INTERNAL "")
