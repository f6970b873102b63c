# What artefacts carry, once more for each other system whose compiler is installed: artefact/SYSTEM/*.a. A system without one
# is passed over, and `ftso build --target` names the package that is missing.
#
#   ftso_cross_archives(ARCHIVE...)   archives whose sources are compiled
#   ftso_decoders(SYSTEM AR LIBRARY...)   the static libraries that read pictures, as one archive; none: an empty one
#
# Pictures are read where the decoders' static libraries for the system are found: as Debian installs them for it
# (libpng-dev:arm64), or under FTSO_CROSS_ROOT, a folder that such packages were unpacked into (dpkg-deb -x).
set(FTSO_CROSS_ROOT "" CACHE PATH "a folder with other systems' libraries, as in usr/lib/aarch64-linux-gnu")
set(cross_include ${CMAKE_BINARY_DIR}/generated/cross) # headers alone, away from this system's C library
file(MAKE_DIRECTORY ${cross_include})
find_path(ZLIB_HEADERS zlib.h)
find_path(JPEG_HEADERS turbojpeg.h)
find_path(PNG_HEADERS png.h)
foreach(header ${RANDOM123_INCLUDE}/Random123 ${ZLIB_HEADERS}/zlib.h ${ZLIB_HEADERS}/zconf.h ${JPEG_HEADERS}/turbojpeg.h
        ${PNG_HEADERS}/png.h ${PNG_HEADERS}/pngconf.h ${PNG_HEADERS}/pnglibconf.h)
  get_filename_component(name ${header} NAME)
  if(EXISTS ${header})
    file(CREATE_LINK ${header} ${cross_include}/${name} SYMBOLIC)
  endif()
endforeach()

function(ftso_decoders system ar)
  set(archive ${CMAKE_BINARY_DIR}/artefact/${system}/libftso_decoders.a)
  list(TRANSFORM ARGN PREPEND "addlib " OUTPUT_VARIABLE script)
  list(JOIN script "\n" script)
  set(mri ${CMAKE_BINARY_DIR}/generated/decoders_${system}.mri)
  file(GENERATE OUTPUT ${mri} CONTENT "create ${archive}\n${script}\nsave\nend\n")
  add_custom_command(OUTPUT ${archive} DEPENDS ${ARGN} ${mri}
    COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/artefact/${system}
    COMMAND ${ar} -M <${mri})
  add_custom_target(ftso_decoders_${system} DEPENDS ${archive})
  add_dependencies(ftso ftso_decoders_${system})
  install(FILES ${archive} DESTINATION lib/ftso/${system})
endfunction()

# The decoders' static libraries for a system, and what the sources are told of them.
function(ftso_cross_decoders system out_libraries out_definitions)
  set(libraries "")
  set(definitions "")
  foreach(form JPEG PNG Z)
    set(name_JPEG libturbojpeg.a)
    set(name_PNG libpng16.a)
    set(name_Z libz.a)
    find_library(FTSO_${form}_${system} ${name_${form}} NO_DEFAULT_PATH
      PATHS ${FTSO_CROSS_ROOT}/usr/lib/${system} /usr/lib/${system} /usr/${system}/lib)
    if(FTSO_${form}_${system})
      list(APPEND libraries ${FTSO_${form}_${system}})
    endif()
  endforeach()
  if(FTSO_JPEG_${system} AND EXISTS ${JPEG_HEADERS}/turbojpeg.h)
    list(APPEND definitions -DFTSO_HAVE_JPEG)
  endif()
  if(FTSO_PNG_${system} AND FTSO_Z_${system} AND EXISTS ${PNG_HEADERS}/png.h)
    list(APPEND definitions -DFTSO_HAVE_PNG)
  endif()
  if(definitions AND FTSO_Z_${system} AND EXISTS ${ZLIB_HEADERS}/zlib.h)
    list(APPEND definitions -DFTSO_HAVE_ZLIB)
  endif()
  set(${out_libraries} ${libraries} PARENT_SCOPE)
  set(${out_definitions} ${definitions} PARENT_SCOPE)
endfunction()

function(ftso_cross_archives)
  foreach(system aarch64-linux-gnu riscv64-linux-gnu)
    find_program(FTSO_CC_${system} ${system}-gcc)
    find_program(FTSO_AR_${system} ${system}-ar)
    set(c_library libc.so)
    if(FTSO_CC_${system}) # a compiler without its C library answers with the bare name
      execute_process(COMMAND ${FTSO_CC_${system}} -print-file-name=libc.so OUTPUT_VARIABLE c_library
                      OUTPUT_STRIP_TRAILING_WHITESPACE)
    endif()
    if(c_library STREQUAL libc.so OR NOT FTSO_AR_${system})
      message(STATUS "artefacts cannot be built for ${system}: install gcc-${system} and its C library")
      continue()
    endif()
    set(folder ${CMAKE_BINARY_DIR}/artefact/${system})
    set(made "")
    ftso_cross_decoders(${system} libraries definitions)
    if(definitions)
      ftso_decoders(${system} ${FTSO_AR_${system}} ${libraries})
    else()
      message(STATUS "artefacts for ${system} will read raw tensors, no pictures: its decoders are not installed")
    endif()
    foreach(archive IN LISTS ARGN)
      get_target_property(sources ${archive} SOURCES)
      set(objects "")
      foreach(source IN LISTS sources)
        file(RELATIVE_PATH name ${CMAKE_SOURCE_DIR} ${source})
        string(REPLACE "/" "_" name ${name})
        set(object ${CMAKE_BINARY_DIR}/cross/${system}/${archive}/${name}.o)
        add_custom_command(OUTPUT ${object} DEPENDS ${source} DEPFILE ${object}.d COMMENT "Building ${name} for ${system}"
          COMMAND ${FTSO_CC_${system}} -std=c11 -D_GNU_SOURCE ${definitions} -O2 -g0 -fPIC -ffunction-sections -fdata-sections
                  -ffile-prefix-map=${CMAKE_SOURCE_DIR}/= -I${CMAKE_SOURCE_DIR} -isystem ${cross_include}
                  -MD -MF ${object}.d -MT ${object} -c ${source} -o ${object})
        list(APPEND objects ${object})
        get_filename_component(place ${object} DIRECTORY)
        file(MAKE_DIRECTORY ${place})
      endforeach()
      set(result ${folder}/lib${archive}.a)
      add_custom_command(OUTPUT ${result} DEPENDS ${objects} COMMAND ${CMAKE_COMMAND} -E make_directory ${folder}
        COMMAND ${CMAKE_COMMAND} -E rm -f ${result} COMMAND ${FTSO_AR_${system}} rcsD ${result} ${objects})
      list(APPEND made ${result})
    endforeach()
    add_custom_target(ftso_cross_${system} DEPENDS ${made})
    add_dependencies(ftso ftso_cross_${system})
    install(FILES ${made} DESTINATION lib/ftso/${system})
  endforeach()
endfunction()
