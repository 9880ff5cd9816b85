#!/usr/bin/env bash
# Makes the demo's media anew, in the folder of this script: bash make.sh
# Needs ffmpeg with libx264, and the font DejaVu Sans (Debian: ffmpeg fonts-dejavu-core).
#
# Each asset is a plain drawing and a tone of its own, as HLS in fragmented MP4: two renditions of
# the picture, one of the sound. Segments last 1.92 s: 24 pictures at 12.5 a second, and 45 frames
# of AAC at 24 kHz, so that picture and sound have the same segments, each exactly as long.
#
# The top row is for programs: 15 white or black blocks, 1/16 of the width each; 4 bits of the
# asset's number, then 11 bits of the picture's, lowest first.
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d); trap 'rm -r "$work"' EXIT
font=/usr/share/fonts/truetype/dejavu/DejaVuSans-Bold.ttf
mono=/usr/share/fonts/truetype/dejavu/DejaVuSansMono.ttf
segment=1.92; rate=12.5; pictures=24; width=512; height=288; block=32

blocks() {  # asset's number
  for bit in 0 1 2 3; do
    (( $1 >> bit & 1 )) && printf 'drawbox=x=%d:y=0:w=%d:h=%d:c=white:t=fill,' $((bit * block)) $block $block
  done
  for bit in {0..10}; do
    printf "drawbox=x=%d:y=0:w=%d:h=%d:c=white:t=fill:enable='mod(floor((n+0.01)/%d),2)'," \
      $(((bit + 4) * block)) $block $block $((1 << bit))
  done
}

make() {  # name, number, segments, colour, tone in Hz, title, subtitle
  local seconds source="$work/$1.mkv" name=$1
  seconds=$(awk "BEGIN { print $3 * $segment }")
  ffmpeg -v error -y -f lavfi -i "color=c=$4:s=${width}x$height:r=$rate:d=$seconds" \
    -f lavfi -i "sine=f=$5:r=24000:d=$seconds" -vf "drawbox=x=0:y=0:w=iw:h=$block:c=black:t=fill,$(blocks "$2")\
drawtext=fontfile=$font:text='$6':x=(w-tw)/2:y=78:fontsize=44:fontcolor=white,\
drawtext=fontfile=$font:text='$7':x=(w-tw)/2:y=132:fontsize=19:fontcolor=white@0.8,\
drawtext=fontfile=$mono:text='%{pts\:hms}':x=(w-tw)/2:y=172:fontsize=22:fontcolor=white@0.9,\
drawtext=fontfile=$font:text='●':x='(w-tw)/2+(w-tw)*0.42*sin(2*PI*t/3.84)':y=214:fontsize=34:fontcolor=white" \
    -c:v libx264 -preset veryfast -qp 8 -pix_fmt yuv420p -c:a pcm_s16le "$source"
  rm -rf "$name"
  local hls="-f hls -hls_time $segment -hls_playlist_type vod -hls_segment_type fmp4 -hls_fmp4_init_filename init.mp4"
  local video="-c:v libx264 -preset veryslow -profile:v main -r $rate -g $pictures -keyint_min $pictures -sc_threshold 0 -bf 0 -pix_fmt yuv420p"
  local audio="-c:a aac -b:a 16k -ac 1 -ar 24000 -frames:a $(($3 * 45))"
  local rendition size quality
  while read -r rendition size quality; do
    mkdir -p "$name/$rendition"
    # shellcheck disable=SC2086 # options are words
    ffmpeg -nostdin -v error -y -i "$source" -an $video -s "$size" -crf "$quality" -fflags +bitexact $hls \
      -hls_segment_filename "$name/$rendition/%d.m4s" "$name/$rendition/list.m3u8"
  done <<< "high ${width}x$height 33
low 256x144 36"
  mkdir -p "$name/sound"
  # shellcheck disable=SC2086
  ffmpeg -nostdin -v error -y -i "$source" -vn $audio -fflags +bitexact $hls \
    -hls_segment_filename "$name/sound/%d.m4s" "$name/sound/list.m3u8"
  if [[ ${8:-} ]]; then  # a file of picture and sound as well
    # shellcheck disable=SC2086
    ffmpeg -nostdin -v error -y -i "$source" $video -crf 36 $audio -fflags +bitexact -movflags +faststart "$name/$name.mp4"
  fi
}

make main 1 31 0x24506b 440 'Harbour' 'the programme'
make kettle 2 4 0x2f6b3f 880 'Kettle' 'an ad - boils in a minute'
make lantern 3 3 0x8a3b1e 1320 'Lantern' 'an ad - light for the way home' mp4
make meadow 4 5 0x6b5a1e 660 'Meadow' 'an ad - breakfast, out of doors'
make slate 5 2 0x4a4f55 220 'Back in a moment' 'what fills a break without ads'
for list in */*/list.m3u8; do  # the demo writes lists itself: only what they must say is compared
  awk -F'[:,]' -v list="$list" -v want="$segment" '/EXTINF/ && ($2 - want) ^ 2 > 1e-6 { print list ": " $0; bad = 1 } END { exit bad }' "$list"
  rm "$list"
done
