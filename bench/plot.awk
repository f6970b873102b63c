# Scaling points (lines that begin "axis value predicted seconds") to an SVG: growth of time against growth of the predicted
# order, both on logarithmic axes, each series from its own first point. The dashed line is growth as predicted.
function x(v) { return 70 + 360 * log(v) / log(limit) }
function y(v) { return 400 - 360 * log(v) / log(limit) }
{
  if ($1 != axis) { axis = $1; names[++series] = axis; first_p = $3; first_s = $4; count[series] = 0 }
  i = ++count[series]
  px[series, i] = $3 / first_p; py[series, i] = $4 / first_s; value[series, i] = $2
  if (px[series, i] > limit) limit = px[series, i]
  if (py[series, i] > limit) limit = py[series, i]
}
END {
  if (limit < 2) limit = 2
  split("#1f77b4 #d62728 #2ca02c #9467bd", color, " ")
  print "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"620\" height=\"450\" font-family=\"sans-serif\" font-size=\"12\">"
  print "<rect width=\"620\" height=\"450\" fill=\"white\"/>"
  for (g = 1; g <= limit; g *= 2) {
    printf "<path d=\"M%.1f 40V400M70 %.1fH430\" stroke=\"#ddd\"/>\n", x(g), y(g)
    printf "<text x=\"%.1f\" y=\"416\" text-anchor=\"middle\">%d</text><text x=\"62\" y=\"%.1f\" text-anchor=\"end\">%d</text>\n", x(g), g, y(g) + 4, g
  }
  printf "<path d=\"M%.1f %.1fL%.1f %.1f\" stroke=\"#888\" stroke-dasharray=\"5 4\"/>\n", x(1), y(1), x(limit), y(limit)
  print "<text x=\"250\" y=\"438\" text-anchor=\"middle\">growth that the order predicts</text>"
  print "<text x=\"20\" y=\"220\" text-anchor=\"middle\" transform=\"rotate(-90 20 220)\">growth of the measured time</text>"
  for (s = 1; s <= series; s++) {
    line = ""
    for (i = 1; i <= count[s]; i++) {
      line = line (i == 1 ? "M" : "L") sprintf("%.1f %.1f", x(px[s, i]), y(py[s, i]))
      printf "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\" fill=\"%s\"><title>%s %s</title></circle>\n", x(px[s, i]), y(py[s, i]), color[s], names[s], value[s, i]
    }
    printf "<path d=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\"/>\n", line, color[s]
    printf "<text x=\"445\" y=\"%d\" fill=\"%s\">%s, %s to %s</text>\n", 40 + 20 * s, color[s], names[s], value[s, 1], value[s, count[s]]
  }
  print "</svg>"
}
